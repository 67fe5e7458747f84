package record

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/test/stall"
)

func TestStoreKeepsRuns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "runs")
	store, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	const second = stall.Seconds(time.Second)
	long := 390*second + second/5
	first := Run{
		Key:        Key{Variant: "stock", Fault: "worker-dead", Controller: "kustomize-controller", Number: 2},
		Setup:      "abc",
		CapSeconds: 600,
		Started:    time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
		Measured:   &stall.Result{Recovered: true, Stall: &long, Curve: []stall.Point{{T: -second, Age: second / 2}, {T: 2 * second, Age: 3 * second}}},
		Evidence:   Evidence{Worker: "worker-1", Nodes: []Seen{{Name: "worker-1", Value: "True", From: -10, To: 49}}},
	}
	replaced := Run{Key: Key{Variant: "stock", Fault: "etcd-paused", Number: 10}, Problem: "the cluster did not start"}
	third := Run{Key: Key{Variant: "stock", Fault: "etcd-paused", Number: 9}, Unsupported: "no netem"}
	for _, run := range []Run{first, replaced, third} {
		if err := store.Put(run); err != nil {
			t.Fatal(err)
		}
	}
	replaced.Problem = ""
	replaced.Measured = &stall.Result{LongestGap: 600 * second}
	if err := store.Put(replaced); err != nil {
		t.Fatal(err)
	}

	got, err := store.All()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Run{third, replaced, first}, got); diff != "" {
		t.Errorf("All (-want +got):\n%s", diff)
	}
	if _, found, err := store.Get(Key{Variant: "stock", Fault: "worker-dead", Number: 2}); found || err != nil {
		t.Errorf("Get of a run that is not there: found %t, %v", found, err)
	}
	run, found, err := store.Get(first.Key)
	if err != nil || !found {
		t.Fatalf("Get: found %t, %v", found, err)
	}
	if diff := cmp.Diff(first, run); diff != "" {
		t.Errorf("Get (-want +got):\n%s", diff)
	}

	if err := store.Forget(first.Key, third.Key, Key{Variant: "stock", Fault: "worker-dead", Number: 7}); err != nil {
		t.Fatal(err)
	}
	if got, err = store.All(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Run{replaced}, got); diff != "" {
		t.Errorf("All after Forget (-want +got):\n%s", diff)
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 {
		t.Errorf("%d files are left, want 1: %v", len(left), left)
	}
}

func TestStoreNamesTheFileThatItCannotRead(t *testing.T) {
	dir := t.TempDir()
	store, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "half.json")
	if err := os.WriteFile(file, []byte(`{"variant":`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = store.All()
	want := "reading run " + file + ": unexpected end of JSON input"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestAnswers(t *testing.T) {
	tests := map[string]struct {
		run  Run
		want bool
	}{
		"same setup and cap":        {Run{Setup: "a", CapSeconds: 600, Measured: &stall.Result{}}, true},
		"longer cap":                {Run{Setup: "a", CapSeconds: 900, Measured: &stall.Result{}}, true},
		"shorter cap":               {Run{Setup: "a", CapSeconds: 90, Measured: &stall.Result{Recovered: true}}, false},
		"another setup":             {Run{Setup: "b", CapSeconds: 600, Measured: &stall.Result{}}, false},
		"no measurement":            {Run{Setup: "a", CapSeconds: 600, Problem: "no cluster"}, false},
		"machine cannot produce it": {Run{Setup: "a", CapSeconds: 600, Unsupported: "no netem"}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.run.Answers("a", 10*time.Minute); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
}

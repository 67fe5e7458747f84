package faults

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/test/cluster"
)

// What a drill reads of a fault before it injects it.
func TestAllIsReadableAsData(t *testing.T) {
	type data struct {
		Worker, App bool
		Lasts       time.Duration
	}
	want := map[string]data{
		"worker-dead":           {Worker: true},
		"kubelet-dead":          {Worker: true},
		"clusterip-broken":      {Worker: true},
		"pod-network-cut":       {Worker: true},
		"apiserver-unreachable": {Worker: true},
		"dns-broken":            {Worker: true},
		"process-paused":        {Worker: true, App: true},
		"oom-killed":            {Worker: true, App: true},
		"worker-drained":        {Worker: true},
		"worker-slow":           {Worker: true},
		"cluster-restarted":     {Lasts: 10 * time.Second},
		"apiserver-restarted":   {Lasts: time.Second},
		"etcd-paused":           {Lasts: 10 * time.Second},
	}
	got := map[string]data{}
	kebab := regexp.MustCompile(`^[a-z]+(-[a-z]+)+$`)
	for _, f := range All() {
		got[f.Name] = data{Worker: f.NeedsWorker, App: f.NeedsApp, Lasts: f.Lasts}
		if !kebab.MatchString(f.Name) {
			t.Errorf("%q is not in kebab case", f.Name)
		}
		if !strings.HasSuffix(f.Description, ".") {
			t.Errorf("%s: the description %q is no sentence", f.Name, f.Description)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if len(All()) != len(want) {
		t.Errorf("%d faults, and only %d names", len(All()), len(want))
	}
}

func TestNamed(t *testing.T) {
	f, err := Named("dns-broken")
	if err != nil || f.Name != "dns-broken" {
		t.Errorf("got %q, %v", f.Name, err)
	}
	_, err = Named("flood")
	if want := `no fault is named "flood"`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}

// A target that lacks what a fault needs is refused before anything is done.
func TestTargetsThatDoNotFit(t *testing.T) {
	c, err := cluster.Start(t.Context(), cluster.Options{Workers: 1, Out: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	cases := map[string]struct {
		fault  string
		target Target
		want   string
	}{
		"no cluster": {
			fault: "etcd-paused", target: Target{},
			want: "etcd-paused: the target has no cluster",
		},
		"no worker": {
			fault: "worker-dead", target: Target{Cluster: c},
			want: `worker-dead: no worker is named ""`,
		},
		"a worker that is not there": {
			fault: "dns-broken", target: Target{Cluster: c, Worker: "worker-9"},
			want: `dns-broken: no worker is named "worker-9"`,
		},
		"no controller": {
			fault: "process-paused", target: Target{Cluster: c, Worker: "worker-1", Namespace: "flux-system"},
			want: `process-paused: the target names no controller: namespace "flux-system", app ""`,
		},
		"no namespace": {
			fault: "oom-killed", target: Target{Cluster: c, Worker: "worker-1", App: "x"},
			want: `oom-killed: the target names no controller: namespace "", app "x"`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f, err := Named(tc.fault)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Inject(t.Context(), tc.target); err == nil || err.Error() != "injecting "+tc.want {
				t.Errorf("Inject: %v, want %q", err, "injecting "+tc.want)
			}
			if err := f.Heal(t.Context(), tc.target); err == nil || err.Error() != "healing "+tc.want {
				t.Errorf("Heal: %v, want %q", err, "healing "+tc.want)
			}
		})
	}
	t.Run("simulated workers", func(t *testing.T) { refusedBySimulation(t, c) })
}

// Faults inside a worker need a real one, and say so.
func refusedBySimulation(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	target := Target{Cluster: c, Worker: "worker-1", Namespace: "default", App: "x"}
	var got []string
	for _, f := range All() {
		if !f.NeedsWorker || f.Name == "worker-dead" || f.Name == "worker-drained" {
			continue // these work on simulated workers too
		}
		err := f.Inject(t.Context(), target)
		if err == nil || !strings.Contains(err.Error(), "the workers are simulated") {
			t.Errorf("%s: %v, want it refused as simulated", f.Name, err)
		}
		got = append(got, f.Name)
	}
	want := []string{
		"apiserver-unreachable", "clusterip-broken", "dns-broken", "kubelet-dead",
		"oom-killed", "pod-network-cut", "process-paused", "worker-slow",
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("refused: -want +got\n%s", diff)
	}
}

package bench_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/test/bench"
)

func TestOf(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		values           []float64
		wantValue        float64
		wantMin, wantMax float64
	}{
		"one run":            {values: []float64{3}, wantValue: 3, wantMin: 3, wantMax: 3},
		"odd, out of order":  {values: []float64{9, 1, 4}, wantValue: 4, wantMin: 1, wantMax: 9},
		"even, out of order": {values: []float64{8, 1, 4, 2}, wantValue: 3, wantMin: 1, wantMax: 8},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := bench.Metric{Value: tc.wantValue, Unit: "s", Runs: len(tc.values), Min: &tc.wantMin, Max: &tc.wantMax}
			if diff := cmp.Diff(want, bench.Of("s", tc.values...)); diff != "" {
				t.Errorf("Of(%v): -want +got\n%s", tc.values, diff)
			}
		})
	}
	if diff := cmp.Diff(bench.Metric{Unit: "s"}, bench.Of("s")); diff != "" {
		t.Errorf("Of(): -want +got\n%s", diff)
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "build", "bench")
	want := bench.Result{Name: "start", Metrics: map[string]bench.Metric{
		"ready": bench.Of("s", 1, 2, 3),
		"once":  {Value: 7, Unit: "objects/s"},
	}}
	for range 2 { // the second time replaces the file
		if err := bench.Write(dir, want); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "start.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got bench.Result
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Machine.CPUs < 1 || got.Machine.Go == "" {
		t.Errorf("machine not filled in: %+v", got.Machine)
	}
	got.Machine = bench.Machine{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read back: -want +got\n%s", diff)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("files left beside the result: %v", entries)
	}
}

func TestWriteToAFolderThatCannotBe(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := bench.Write(filepath.Join(file, "bench"), bench.Result{Name: "start"}); err == nil {
		t.Error("want an error, got none")
	}
}

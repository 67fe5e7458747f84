package main

import (
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/test/drill/record"
	"github.com/mainstay-dev/mainstay/test/faults"
)

// TestRunsWithoutMeasurementFail has nothing that could be installed: each run is
// recorded with its problem, the next one is made, and the drill is not green.
func TestRunsWithoutMeasurementFail(t *testing.T) {
	store, err := record.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	d := &drill{
		opts: options{out: t.TempDir()}, root: t.TempDir(), store: store, faults: faults.All(), setups: map[string]string{},
		progress: &progress{
			out: &out, now: time.Now, began: time.Now(), done: map[record.Key]record.Run{},
			items: []item{
				{Key: record.Key{Variant: variantStock, Fault: "etcd-paused", Number: 1}, limit: time.Minute},
				{Key: record.Key{Variant: variantPatches, Fault: "etcd-paused", Number: 1}, limit: time.Minute},
			},
		},
	}
	err = d.run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "2 of 2 runs have no measurement") ||
		!strings.Contains(err.Error(), "stock/etcd-paused/1, patches/etcd-paused/1") {
		t.Errorf("the drill ended with %v\n%s", err, out.String())
	}
	runs, err := store.All()
	if err != nil || len(runs) != 2 {
		t.Fatalf("%d runs are recorded: %v", len(runs), err)
	}
	for _, run := range runs {
		if run.Problem == "" || run.Measured != nil {
			t.Errorf("%s is recorded as %+v", run.Key, run)
		}
	}
}

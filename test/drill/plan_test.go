package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/test/drill/record"
	"github.com/mainstay-dev/mainstay/test/faults"
	"github.com/mainstay-dev/mainstay/test/stall"
)

func names(items []item) []string {
	var out []string
	for _, it := range items {
		out = append(out, it.String()+" "+it.limit.String())
	}
	return out
}

func TestSchedule(t *testing.T) {
	subjects := []subject{{name: "worker-dead", perController: true}, {name: "etcd-paused"}, {name: "dns-broken", perController: true}}
	tests := map[string]struct {
		opts options
		want []string
	}{
		"stock once, others as often as asked, the whole cluster once for all controllers": {
			options{
				variants: []string{"stock", "patches"}, faults: []string{"worker-dead", "etcd-paused"},
				controllers: []string{"kustomize-controller", "helm-controller"}, runs: 2, limit: time.Minute,
			},
			[]string{
				"stock/worker-dead/kustomize-controller/1 1m0s",
				"stock/etcd-paused/1 1m0s",
				"stock/worker-dead/helm-controller/1 1m0s",
				"patches/worker-dead/kustomize-controller/1 1m0s",
				"patches/etcd-paused/1 1m0s",
				"patches/worker-dead/helm-controller/1 1m0s",
				"patches/worker-dead/kustomize-controller/2 1m0s",
				"patches/etcd-paused/2 1m0s",
				"patches/worker-dead/helm-controller/2 1m0s",
			},
		},
		"nothing that was not asked for": {
			options{variants: []string{"mainstay"}, faults: []string{"dns-broken"}, controllers: []string{"source-controller"}, runs: 1, limit: time.Hour},
			[]string{"mainstay/dns-broken/source-controller/1 1h0m0s"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, names(schedule(test.opts, subjects))); diff != "" {
				t.Errorf("schedule (-want +got):\n%s", diff)
			}
		})
	}
}

func TestShortSchedule(t *testing.T) {
	opts, err := parse([]string{"-short", "-runs", "3"}, faultNames(faults.All()))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"stock/clusterip-broken/kustomize-controller/1 1m0s",
		"patches/clusterip-broken/kustomize-controller/1 2m0s",
		"mainstay/worker-dead/kustomize-controller/1 2m0s",
	}
	if diff := cmp.Diff(want, names(schedule(opts, subjectsOf(faults.All())))); diff != "" {
		t.Errorf("schedule (-want +got):\n%s", diff)
	}
}

func TestParse(t *testing.T) {
	known := []string{"worker-dead", "etcd-paused"}
	full := options{
		variants: variants(), controllers: controllers(), faults: known,
		limit: 10 * time.Minute, runs: 1,
	}
	tests := map[string]struct {
		args    []string
		change  func(*options)
		wantErr string
	}{
		"nothing said": {nil, func(*options) {}, ""},
		"a choice, in the known order": {
			[]string{"-faults", "etcd-paused,worker-dead", "-variants", "mainstay,stock", "-controllers", "helm-controller", "-cap", "90s", "-runs", "20", "-fresh"},
			func(o *options) {
				o.variants, o.controllers = []string{"stock", "mainstay"}, []string{"helm-controller"}
				o.limit, o.runs, o.fresh = 90*time.Second, 20, true
			}, "",
		},
		"the short drill": {
			[]string{"-short"}, func(o *options) { o.short = true }, "",
		},
		"a comma at the end": {[]string{"-faults", "etcd-paused, "}, func(o *options) { o.faults = []string{"etcd-paused"} }, ""},
		"a comma alone":      {[]string{"-faults", ","}, nil, `-faults: "," has no name in it, there are: worker-dead, etcd-paused`},
		"an unknown fault":   {[]string{"-faults", "flood"}, nil, `-faults: there is no "flood", there are: worker-dead, etcd-paused`},
		"an unknown variant": {[]string{"-variants", "none"}, nil, `-variants: there is no "none", there are: stock, patches, mainstay`},
		"no time":            {[]string{"-cap", "0s"}, nil, "-cap: 0s is below 1s"},
		"no runs":            {[]string{"-runs", "0"}, nil, "-runs: 0 is below 1"},
		"an argument":        {[]string{"stock"}, nil, `unknown argument "stock"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parse(test.args, known)
			if test.wantErr != "" {
				if err == nil || err.Error() != test.wantErr {
					t.Fatalf("got %v, want %s", err, test.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := full
			test.change(&want)
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(options{})); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFolder(t *testing.T) {
	for want, opts := range map[string]options{
		"/src/build/drill":       {},
		"/src/build/drill/short": {short: true},
		"elsewhere":              {short: true, out: "elsewhere"},
	} {
		if got := opts.folder("/src"); got != want {
			t.Errorf("folder of %+v = %s, want %s", opts, got, want)
		}
	}
}

// Flags that exclude each other are no drill that passes.
func TestNothingChosen(t *testing.T) {
	out := t.TempDir()
	err := run(t.Context(), []string{"-short", "-faults", "dns-broken", "-out", out}, t.Output())
	if err == nil || !strings.Contains(err.Error(), "these flags choose no run") {
		t.Errorf("error = %v, want that no run is chosen", err)
	}
}

func TestAfterwards(t *testing.T) {
	tests := map[string]struct {
		key   record.Key
		short bool
		want  time.Duration
	}{
		"the first run of a fault is watched for long": {record.Key{Variant: "mainstay", Fault: "worker-dead", Number: 1}, false, 90 * time.Second},
		"a later one":            {record.Key{Variant: "mainstay", Fault: "worker-dead", Number: 2}, false, 30 * time.Second},
		"eviction of stock Flux": {record.Key{Variant: "stock", Fault: "kubelet-dead", Number: 1}, false, 450 * time.Second},
		"the short drill":        {record.Key{Variant: "stock", Fault: "kubelet-dead", Number: 1}, true, 20 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := afterwards(test.key, test.short)
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if got <= stall.MaxGap {
				t.Errorf("%s is too short to see a gap of more than %s", got, stall.MaxGap)
			}
		})
	}
}

func TestEstimate(t *testing.T) {
	items := []item{
		{Key: record.Key{Variant: "stock", Fault: "a", Controller: "x", Number: 1}, limit: 10 * time.Minute},
		{Key: record.Key{Variant: "stock", Fault: "b", Controller: "x", Number: 1}, limit: 10 * time.Minute},
		{Key: record.Key{Variant: "mainstay", Fault: "a", Controller: "x", Number: 1}, limit: 2 * time.Minute},
		{Key: record.Key{Variant: "mainstay", Fault: "a", Controller: "x", Number: 2}, limit: 2 * time.Minute},
		{Key: record.Key{Variant: "mainstay", Fault: "a", Controller: "y", Number: 1}, limit: 2 * time.Minute},
		{Key: record.Key{Variant: "mainstay", Fault: "c", Number: 1}, limit: 2 * time.Minute, unsupported: errors.New("no")},
	}
	took := func(i int, seconds float64) record.Run {
		return record.Run{Key: items[i].Key, TookSeconds: seconds, Measured: &stall.Result{}}
	}
	tests := map[string]struct {
		done     []record.Run
		want     time.Duration
		measured bool
	}{
		"nothing is known: caps and the start of two clusters": {nil, 2*clusterStart + 26*time.Minute + 5*aroundRun, false},
		"one variant is done": {[]record.Run{took(0, 700), took(1, 30)}, clusterStart + 6*time.Minute + 3*aroundRun, false},
		"what was measured replaces the cap, the same controller's first": {
			[]record.Run{took(0, 700), took(1, 30), took(2, 50)}, 100 * time.Second, true,
		},
		"a run without a measurement tells no time": {
			[]record.Run{took(0, 700), took(1, 30), {Key: items[2].Key, TookSeconds: 1, Problem: "no cluster"}},
			4*time.Minute + 2*aroundRun, false,
		},
		"all is done": {[]record.Run{took(0, 1), took(1, 1), took(2, 1), took(3, 1), took(4, 1)}, 0, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := progress{items: items, done: map[record.Key]record.Run{}}
			for _, run := range test.done {
				p.done[run.Key] = run
			}
			got, measured := p.left()
			if got != test.want || measured != test.measured {
				t.Errorf("got %s (measured: %t), want %s (%t)", got, measured, test.want, test.measured)
			}
		})
	}
}

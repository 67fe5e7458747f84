package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/test/drill/record"
	"github.com/mainstay-dev/mainstay/test/stall"
)

func key(variant, fault, controller string, number int) record.Key {
	return record.Key{Variant: variant, Fault: fault, Controller: controller, Number: number}
}

// sec is a time as the stall meter has it.
func sec(seconds float64) stall.Seconds { return stall.Seconds(seconds * float64(time.Second)) }

// stalled is a run that recovered after so many seconds; below 0 it did not.
func stalled(variant string, number int, seconds float64) record.Run {
	run := record.Run{Key: key(variant, "worker-dead", "kustomize-controller", number), CapSeconds: 600}
	run.Measured = &stall.Result{LongestGap: sec(601), Observed: sec(600)}
	if seconds >= 0 {
		length := sec(seconds)
		run.Measured.Recovered, run.Measured.Stall, run.Measured.LongestGap = true, &length, sec(seconds+1)
	}
	return run
}

func many(variant string, seconds ...float64) []record.Run {
	var runs []record.Run
	for i, s := range seconds {
		runs = append(runs, stalled(variant, i+1, s))
	}
	return runs
}

func upTo(n int) []float64 {
	var out []float64
	for i := range n {
		out = append(out, float64(i+1))
	}
	return out
}

func setting() Setting {
	return Setting{
		Variants:    []string{"stock", "patches", "mainstay"},
		Faults:      []Fault{{"worker-dead", "everything stops"}, {"etcd-paused", "etcd is stopped for 10 s"}},
		Controllers: []string{"kustomize-controller", "source-controller"},
		Versions:    map[string]string{"Kubernetes": "v1", "Flux": "v2"},
		Machine:     "2 CPUs",
	}
}

func TestCellText(t *testing.T) {
	short := stalled("stock", 2, -1)
	short.CapSeconds = 90
	early := stalled("stock", 1, 1)
	early.Measured.LongestGap = sec(40)
	tests := map[string]struct {
		runs []record.Run
		want string
	}{
		"one run":             {many("stock", 390.24), "390.2 s"},
		"several":             {many("stock", 18, 16.4, 17), "17.0 s (16.4 s to 18.0 s, 3 runs)"},
		"an even number":      {many("stock", 18, 16), "17.0 s (16.0 s to 18.0 s, 2 runs)"},
		"19 runs give no p95": {many("stock", upTo(19)...), "10.0 s (1.0 s to 19.0 s, 19 runs)"},
		"20 runs give p95":    {many("stock", upTo(20)...), "p95 19.0 s (median 10.5 s, 1.0 s to 20.0 s, 20 runs)"},
		"40 runs":             {many("stock", upTo(40)...), "p95 38.0 s (median 20.5 s, 1.0 s to 40.0 s, 40 runs)"},
		"none recovered":      {many("stock", -1), "**did not recover within 10 min**"},
		"none of two":         {many("stock", -1, -1), "**did not recover within 10 min** (2 runs)"},
		"the shortest cap":    {append(many("stock", -1), short), "**did not recover within 90 s** (2 runs)"},
		"one of three did not": {
			many("stock", 16, -1, 18),
			"**1 of 3 runs did not recover within 10 min**, 18.0 s (16.0 s to no end, 3 runs)",
		},
		"two of three did not": {
			many("stock", 16, -1, -1),
			"**2 of 3 runs did not recover within 10 min**, no end (16.0 s to no end, 3 runs)",
		},
		"p95 is among those that did not": {
			many("stock", append(upTo(18), -1, -1)...),
			"**2 of 20 runs did not recover within 10 min**, p95 no end (median 10.5 s, 1.0 s to no end, 20 runs)",
		},
		"a gap after the first commit": {[]record.Run{early}, "1.0 s; **longest gap 40.0 s**"},
		"not on this machine":          {[]record.Run{{Key: key("stock", "worker-dead", "", 1), Unsupported: "no netem"}}, "not on this machine"},
		"no measurement":               {[]record.Run{{Key: key("stock", "worker-dead", "", 1), Problem: "no cluster"}}, "no measurement"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := cells(test.runs)
			if len(got) != 1 {
				t.Fatalf("%d cells, want 1", len(got))
			}
			if text := got[0].text(); text != test.want {
				t.Errorf("got  %s\nwant %s", text, test.want)
			}
		})
	}
}

func TestRatios(t *testing.T) {
	tests := map[string]struct {
		stock, mainstay []record.Run
		want            []string
	}{
		"both recovered":          {many("stock", 390), many("mainstay", 19.5), []string{"0.050"}},
		"longer than stock":       {many("stock", 10), many("mainstay", 12), []string{"1.20"}},
		"stock did not recover":   {many("stock", -1), many("mainstay", 18), []string{"≤ 0.030"}},
		"mainstay did not":        {many("stock", 390), many("mainstay", -1), nil},
		"stock was not measured":  {nil, many("mainstay", 18), nil},
		"medians, not best cases": {many("stock", 100), many("mainstay", 5, 50, 90), []string{"0.50"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, r := range New(setting(), append(test.stock, test.mainstay...)).Ratios {
				got = append(got, r.text())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("ratios (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMarkdownComparesWithEachVariant(t *testing.T) {
	runs := append(many("stock", 400), append(many("patches", 40), many("mainstay", 20)...)...)
	got := New(setting(), runs).Markdown()
	for _, want := range []string{
		"| fault | hits | stock | patches | mainstay | mainstay / stock | mainstay / patches |\n",
		"| `worker-dead` | kustomize-controller | 400.0 s | 40.0 s | 20.0 s | 0.050 | 0.50 |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}

func TestGapOf(t *testing.T) {
	early, stays, plain := stalled("stock", 1, 1).Measured, stalled("stock", 1, -1).Measured, stalled("stock", 1, 18).Measured
	plain.LastGapEnd = sec(18)
	early.LongestGap, early.LastGapEnd = sec(40), sec(75)
	stays.LastGapEnd = stays.Observed
	tests := map[string]struct {
		result *stall.Result
		want   string
	}{
		"as long as the stall":   {plain, "19.0 s"},
		"after the first commit": {early, "**40.0 s**, over at 75.0 s"},
		"until the cap":          {stays, "601.0 s, not over"},
	}
	for name, test := range tests {
		if got := gapOf(test.result); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}

func TestReportLeavesOutFormerSetups(t *testing.T) {
	began := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	runs := many("patches", 10, 20, 90, 100)
	for i := range runs {
		runs[i].Setup, runs[i].Started = "new", began.Add(time.Duration(i)*time.Minute)
	}
	// The third and fourth were made before something changed, and not made anew.
	for i := range runs[2:] {
		runs[2+i].Setup, runs[2+i].Started = "old", began.Add(-time.Hour)
	}
	// What went wrong takes the place of nothing.
	failed := record.Run{Key: key("patches", "worker-dead", "kustomize-controller", 5), Setup: "newest", Started: began.Add(time.Hour), Problem: "no cluster"}
	runs = append(runs, failed)
	other := many("stock", 300)
	other[0].Setup, other[0].Started = "old", began.Add(-time.Hour)

	r := New(setting(), append(runs, other...))
	if got := r.cell("patches", "worker-dead", "kustomize-controller"); got.Runs != 2 || *got.Median != 15 || *got.Max != 20 {
		t.Errorf("patches: %+v", got)
	}
	if got := r.cell("stock", "worker-dead", "kustomize-controller"); got.Runs != 1 {
		t.Errorf("stock has runs of one setup, which stay: %+v", got)
	}
	if r.Former != 3 || !strings.Contains(r.Markdown(), "3 more runs are left out") {
		t.Errorf("%d runs are said to be left out:\n%s", r.Former, r.Markdown())
	}
}

func TestReportLeavesOutWhatIsNotListed(t *testing.T) {
	runs := many("stock", 390)
	runs = append(runs, record.Run{Key: key("stock", "no-longer-known", "", 1), Measured: &stall.Result{}})
	runs = append(runs, record.Run{Key: key("other", "worker-dead", "", 1), Measured: &stall.Result{}})
	if got := len(New(setting(), runs).Runs); got != 1 {
		t.Errorf("%d runs, want 1", got)
	}
}

func TestMarkdown(t *testing.T) {
	incident := stalled("stock", 1, -1)
	incident.Started = time.Date(2030, 1, 2, 0, 0, 0, 0, time.UTC)
	incident.Measured.Baseline = stall.Lag{Median: sec(1.2), Max: sec(3.5)}
	incident.Evidence = record.Evidence{
		Worker:   "worker-1",
		Nodes:    []record.Seen{{Name: "worker-1", Value: "True", From: 0, To: 600}, {Name: "worker-2", Value: "True", From: 0, To: 600}},
		Delivery: []record.Seen{{Name: "Kustomization a/b", Value: "True: Applied revision: x | y", From: 0, To: 600}},
		Pods: []record.Pod{{
			Name: "kustomize-controller-1", Node: "worker-1", Restarts: 7, Waiting: "CrashLoopBackOff", Ended: "Error, exit code 1",
			Log: []string{"starting", "unable to start: Get \"https://10.96.0.1:443/api\": dial tcp 10.96.0.1:443: i/o timeout"},
		}},
	}
	healed := stalled("mainstay", 1, 18)
	healed.Measured.Uncertainty = sec(2)
	healed.Measured.LastGapEnd = sec(19)
	healed.InjectSeconds, healed.Load = 0.04, &record.Load{Before: 1.25, After: 3, Clusters: 2}
	healed.Started = incident.Started.Add(time.Hour)
	healed.Evidence = record.Evidence{
		Worker: "worker-1", Moved: true,
		Interventions: []record.Intervention{{Action: "Evict", Target: "kustomize-controller-1", Phase: "Done", Verdict: "Improved", At: 6}},
	}
	none := record.Run{Key: key("stock", "etcd-paused", "", 1), Started: incident.Started, Unsupported: "no freezer cgroup"}
	got := New(setting(), []record.Run{none, healed, incident}).Markdown()
	want := "3 runs from 2030-01-02 to 2030-01-02 on 2 CPUs: Flux v2, Kubernetes v1.\n\n" +
		"A figure is the stall: the time from the fault to the first commit made after it being live. Several runs give the median with the range and their number, twenty and more the 95th percentile.\n\n" +
		"| fault | hits | stock | mainstay | mainstay / stock |\n| --- | --- | --- | --- | --- |\n" +
		"| `worker-dead` | kustomize-controller | **did not recover within 10 min** | 18.0 s | ≤ 0.030 |\n" +
		"| `etcd-paused` | the whole cluster | not on this machine | – | – |\n\n" +
		"- `worker-dead`: everything stops\n- `etcd-paused`: etcd is stopped for 10 s\n\n" +
		"### What was not measured\n\n- `etcd-paused` cannot be produced on this machine: no freezer cgroup\n\n" +
		"### The incident, as stock/worker-dead/kustomize-controller/1 saw it\n\n" +
		"- Node worker-1, which was hit, said Ready: True (0 to 600 s)\n" +
		"- the measured object said: True: Applied revision: x | y (0 to 600 s)\n" +
		"- pod kustomize-controller-1 restarted 7 times, waits as CrashLoopBackOff, ended last with Error, exit code 1\n" +
		"- moved to another worker: no\n\n" +
		"The end of its former container's log:\n\n```text\nstarting\nunable to start: Get \"https://10.96.0.1:443/api\": dial tcp 10.96.0.1:443: i/o timeout\n```\n\n" +
		"### Every run\n\n" +
		"| run | cap | in force after | stall | longest gap | healthy lag | load | Ready said meanwhile | Node said | restarts | moved | interventions |\n" +
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n" +
		"| stock/worker-dead/kustomize-controller/1 | 10 min | – | none | 601.0 s | 1.2 s (max 3.5 s) | – | True: Applied revision: x \\| y (0 to 600 s) | True (0 to 600 s) | 7 | no | – |\n" +
		"| mainstay/worker-dead/kustomize-controller/1 | 10 min | 0.0 s | 18.0 s (up to 2.0 s less) | 19.0 s, over at 19.0 s | 0.0 s (max 0.0 s) | 1.2 to 3.0, 2 clusters | – | – | – | yes | Evict kustomize-controller-1 Done Improved at 6 s |\n\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("markdown (-want +got):\n%s", diff)
	}
}

func TestNodesSaid(t *testing.T) {
	seen := []record.Seen{
		{Name: "worker-1", Value: "True", To: 50}, {Name: "worker-2", Value: "True", To: 20}, {Name: "worker-2", Value: "Unknown", From: 20, To: 50},
	}
	tests := map[string]struct {
		evidence record.Evidence
		want     string
	}{
		"the one that was hit":    {record.Evidence{Worker: "worker-2", Nodes: seen}, "True (0 to 20 s), Unknown (20 to 50 s)"},
		"those that changed":      {record.Evidence{Nodes: seen}, "worker-2: Unknown (20 to 50 s)"},
		"none changed":            {record.Evidence{Nodes: seen[:2]}, "all True"},
		"nothing could be looked": {record.Evidence{}, "–"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := nodesSaid(test.evidence); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestMarkdownOfNothing(t *testing.T) {
	if diff := cmp.Diff("There are no runs.\n", New(setting(), nil).Markdown()); diff != "" {
		t.Errorf("markdown (-want +got):\n%s", diff)
	}
}

func TestPicture(t *testing.T) {
	long := stalled("stock", 1, -1)
	long.Measured.Curve = []stall.Point{{T: sec(-4), Age: sec(2)}, {T: sec(600), Age: sec(606)}}
	brief := stalled("mainstay", 1, 18)
	brief.Measured.Curve = []stall.Point{
		{T: sec(-2), Age: sec(1)},
		{T: sec(0.5), Age: sec(3.5)},
		{T: sec(0.5), Age: sec(1)},
		{T: sec(1.05), Age: sec(1.55)},
		{T: sec(1.05), Age: sec(0.1)},
		{T: sec(1e6), Age: sec(1e6)},
	}
	brief.Fault = `worker-dead`
	set := setting()
	set.Faults[0].Name = "worker-dead"
	set.Variants = append(set.Variants, `<&">`)
	odd := brief
	odd.Variant = `<&">`
	svg, err := New(set, []record.Run{long, brief, odd}).Picture()
	if err != nil {
		t.Fatal(err)
	}
	decoder := xml.NewDecoder(bytes.NewReader(svg))
	var lines []string
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the picture is no XML: %v", err)
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "polyline" {
			continue
		}
		for _, attr := range start.Attr {
			if attr.Name.Local == "points" {
				lines = append(lines, attr.Value)
			}
		}
	}
	if len(lines) != 3 {
		t.Fatalf("%d curves, want 3", len(lines))
	}
	// The age is 7 s at the left edge, a second after the fault, and at the right one
	// it is above the axis, which ends at 600 s. In between it bends.
	if !strings.HasPrefix(lines[0], "0.0,76.1 ") || !strings.HasSuffix(lines[0], " 250.0,0.0") {
		t.Errorf("the curve of a run that did not recover goes from %s to %s", lines[0][:20], lines[0][len(lines[0])-20:])
	}
	if got := len(strings.Fields(lines[0])); got < 50 {
		t.Errorf("%d points make the curve of a run that did not recover, want 50 or more for it to bend", got)
	}
	// The age is 1.5 s at the left edge and 1.55 s when a commit is live that is so
	// new that it is below the axis.
	if want := "0.0,102.5 1.9,101.9 1.9,130.0 "; !strings.HasPrefix(lines[1], want) {
		t.Errorf("got %s…, want %s…", lines[1][:len(want)], want)
	}
}

func TestPictureShowsTheMedianRun(t *testing.T) {
	runs := many("stock", 30, -1, 10)
	for i := range runs {
		runs[i].Measured.Curve = []stall.Point{{T: sec(1), Age: sec(1)}}
	}
	runs[1].Controller = "source-controller"
	got, found := New(setting(), runs).typical("stock", "worker-dead")
	if !found {
		t.Fatal("no run")
	}
	if want := key("stock", "worker-dead", "kustomize-controller", 1); got.Key != want {
		t.Errorf("got %s, want %s", got.Key, want)
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	report := New(setting(), many("stock", 390))
	if err := report.Write(dir); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(dir, JSONFile))
	if err != nil {
		t.Fatal(err)
	}
	var got Report
	if err := json.Unmarshal(content, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(report, got); diff != "" {
		t.Errorf("report.json (-want +got):\n%s", diff)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if diff := cmp.Diff([]string{JSONFile, MarkdownFile, PictureFile}, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

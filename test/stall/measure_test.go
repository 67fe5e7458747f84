package stall

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const s = time.Second

// steady are commits every 2 s, each live a second later, until the last of them.
func steady(until time.Duration) Samples {
	var all Samples
	for i := int64(1); time.Duration(i)*2*s <= until; i++ {
		at := time.Duration(i) * 2 * s
		all.Commits = append(all.Commits, Commit{Sequence: i, Begun: at - 10*time.Millisecond, At: at})
		all.Lives = append(all.Lives, Live{Sequence: i, At: at + s})
		all.Looked = at + s
	}
	return all
}

// silent is steady with nothing live in a span, and then all at once.
func silent(until, from, to time.Duration) Samples {
	all := steady(until)
	var lives []Live
	var last int64
	for _, c := range all.Commits {
		if c.At <= to {
			last = c.Sequence
		}
	}
	joined := false
	for _, l := range all.Lives {
		switch {
		case l.At <= from:
			lives = append(lives, l)
		case l.At > to:
			if !joined {
				lives, joined = append(lives, Live{Sequence: last, At: to}), true
			}
			if l.Sequence > last {
				lives = append(lives, l)
			}
		}
	}
	all.Lives = lives
	return all
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	sec := func(d time.Duration) *Seconds { v := Seconds(d); return &v }
	const firstCommit = Seconds(1500 * time.Millisecond)
	baseline := Lag{Commits: 5, Live: 4, Median: Seconds(s), Max: Seconds(s)}
	blindUntilSeen := silent(60*s, 11*s, 30500*time.Millisecond)
	for i, l := range blindUntilSeen.Lives {
		if l.At == 30500*time.Millisecond {
			blindUntilSeen.Lives[i].Unseen = 7 * s
		}
	}
	blindUntilSeen.Blind = []Span{{From: 5 * s, To: 12 * s}, {From: 23500 * time.Millisecond, To: 30500 * time.Millisecond}}
	late := silent(60*s, 11*s, 30500*time.Millisecond)
	for i := range late.Lives {
		late.Lives[i].Unseen = 40 * s
	}

	for name, test := range map[string]struct {
		samples Samples
		window  Window
		want    Result
	}{
		// The commit at 12 s is the first after the fault and live at 13 s.
		"nothing stalls": {
			steady(60 * s),
			Window{Fault: 10500 * time.Millisecond, End: 20500 * time.Millisecond},
			Result{
				Recovered: true, Stall: sec(2500 * time.Millisecond), FirstCommit: firstCommit, LongestGap: Seconds(2 * s), Observed: Seconds(10 * s), Commits: 5,
				Baseline: baseline,
			},
		},
		// What became live after the fault was made before it until 30.5 s.
		"a stall": {
			silent(60*s, 11*s, 30500*time.Millisecond),
			Window{Fault: 10500 * time.Millisecond, End: 40500 * time.Millisecond},
			Result{
				Recovered: true, Stall: sec(20 * s), FirstCommit: firstCommit, LastGapEnd: Seconds(20 * s), LongestGap: Seconds(19500 * time.Millisecond), Observed: Seconds(30 * s), Commits: 15,
				Baseline: baseline,
			},
		},
		// The commit at 12 s does not count: it was begun before the fault.
		"a fault while a commit is made": {
			steady(60 * s),
			Window{Fault: 11995 * time.Millisecond, End: 20500 * time.Millisecond},
			Result{
				Recovered: true, Stall: sec(3005 * time.Millisecond), FirstCommit: Seconds(2005 * time.Millisecond), LongestGap: Seconds(2 * s), Observed: Seconds(8505 * time.Millisecond), Commits: 5,
				Baseline: Lag{Commits: 5, Live: 5, Median: Seconds(s), Max: Seconds(s)},
			},
		},
		"a stall that outlasts the observation": {
			silent(60*s, 11*s, 30500*time.Millisecond),
			Window{Fault: 10500 * time.Millisecond, End: 30 * s},
			Result{
				FirstCommit: firstCommit, LongestGap: Seconds(19 * s), LastGapEnd: Seconds(19500 * time.Millisecond),
				Observed: Seconds(19500 * time.Millisecond), Commits: 10,
				Baseline: baseline,
			},
		},
		"a second stall after the recovery": {
			silent(60*s, 17*s, 50500*time.Millisecond),
			Window{Fault: 10500 * time.Millisecond, End: 60 * s},
			Result{
				Recovered: true, Stall: sec(2500 * time.Millisecond), FirstCommit: firstCommit, LongestGap: Seconds(33500 * time.Millisecond), LastGapEnd: Seconds(40 * s), Observed: Seconds(49500 * time.Millisecond), Commits: 25,
				Baseline: baseline,
			},
		},
		"commits that slip through before the fault bites": {
			silent(60*s, 17*s, 50500*time.Millisecond),
			Window{Fault: 10500 * time.Millisecond, End: 40500 * time.Millisecond},
			Result{
				FirstCommit: firstCommit, LongestGap: Seconds(23500 * time.Millisecond), LastGapEnd: Seconds(30 * s), Observed: Seconds(30 * s), Commits: 15,
				Baseline: baseline,
			},
		},
		"a gap at the end that is short enough": {
			silent(60*s, 17*s, 50500*time.Millisecond),
			Window{Fault: 10500 * time.Millisecond, End: 27 * s},
			Result{
				Recovered: true, Stall: sec(2500 * time.Millisecond), FirstCommit: firstCommit, LongestGap: Seconds(10 * s), Observed: Seconds(16500 * time.Millisecond), Commits: 8,
				Baseline: baseline,
			},
		},
		"out of sight before it was seen": {
			blindUntilSeen,
			Window{Fault: 10500 * time.Millisecond, End: 40500 * time.Millisecond},
			Result{
				Recovered: true, Stall: sec(20 * s), FirstCommit: firstCommit, LastGapEnd: Seconds(20 * s), Uncertainty: Seconds(7 * s), LongestGap: Seconds(19500 * time.Millisecond), Observed: Seconds(30 * s), Commits: 15,
				Blind: Seconds(8500 * time.Millisecond), Baseline: baseline,
			},
		},
		"out of sight since before the commit": {
			late,
			Window{Fault: 10500 * time.Millisecond, End: 40500 * time.Millisecond},
			Result{
				Recovered: true, Stall: sec(20 * s), FirstCommit: firstCommit, LastGapEnd: Seconds(20 * s), Uncertainty: Seconds(18500 * time.Millisecond), LongestGap: Seconds(19500 * time.Millisecond), Observed: Seconds(30 * s), Commits: 15,
				Baseline: baseline,
			},
		},
		"no baseline": {
			steady(60 * s),
			Window{From: 10500 * time.Millisecond, Fault: 10500 * time.Millisecond, End: 20500 * time.Millisecond},
			Result{Recovered: true, Stall: sec(2500 * time.Millisecond), FirstCommit: firstCommit, LongestGap: Seconds(2 * s), Observed: Seconds(10 * s), Commits: 5},
		},
	} {
		got, err := Measure(test.samples, test.window)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got.Curve = nil // has a test of its own
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestMeasureRefusesToGuess(t *testing.T) {
	t.Parallel()
	dropped := steady(60 * s)
	dropped.From = 5 * s
	blind := silent(60*s, 11*s, 50*s)
	blind.Looked = 19 * s
	blindInGap := silent(60*s, 17*s, 50*s)
	blindInGap.Looked = 19 * s
	paused := steady(60 * s)
	paused.Commits = slices.DeleteFunc(paused.Commits, func(c Commit) bool { return c.At > 11*s && c.At < 22*s })
	for name, test := range map[string]struct {
		samples Samples
		window  Window
		want    string
	}{
		"no commits":                  {steady(10 * s), Window{Fault: 11 * s, End: 20 * s}, "no commit was made from then to 20s"},
		"commits after it":            {steady(60 * s), Window{Fault: 12500 * time.Millisecond, End: 13 * s}, "no commit was made from then to 13s"},
		"dropped samples":             {dropped, Window{From: 4 * s, Fault: 12 * s, End: 20 * s}, "they begin at 5s"},
		"out of sight":                {blind, Window{Fault: 11 * s, End: 30 * s}, "the cluster was out of sight for the last 11s"},
		"out of sight in a later gap": {blindInGap, Window{Fault: 11 * s, End: 30 * s}, "the cluster was out of sight for the last 11s"},
		"a meter that stands still":   {paused, Window{Fault: 11 * s, End: 40 * s}, "the first commit after it was made 11s later"},
		"a window backwards":          {steady(60 * s), Window{Fault: 12 * s, End: 12 * s}, "the times are not in this order"},
	} {
		if got, err := Measure(test.samples, test.window); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error = %v, want %q; result %+v", name, err, test.want, got)
		}
	}
}

func TestCalmSince(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		samples  Samples
		now      time.Duration
		want     time.Duration
		wantCalm bool
	}{
		"no commit yet":               {steady(10 * s), 11 * s, 0, false},
		"not live yet":                {silent(60*s, 11*s, 50500*time.Millisecond), 20 * s, 0, false},
		"since the first commit":      {steady(60 * s), 40 * s, 13 * s, true},
		"in a gap":                    {silent(60*s, 17*s, 50500*time.Millisecond), 40 * s, 40 * s, false},
		"since the end of the gap":    {silent(60*s, 17*s, 50500*time.Millisecond), 58 * s, 50500 * time.Millisecond, true},
		"a gap that is short is none": {silent(60*s, 17*s, 26500*time.Millisecond), 40 * s, 13 * s, true},
	} {
		seen := test.samples
		seen.Lives = slices.DeleteFunc(slices.Clone(seen.Lives), func(l Live) bool { return l.At > test.now })
		got, calm := calmSince(seen, 10500*time.Millisecond, test.now)
		if calm != test.wantCalm || calm && got != test.want {
			t.Errorf("%s: calm since %s: %t, want %s: %t", name, got, calm, test.want, test.wantCalm)
		}
	}
}

func TestCurve(t *testing.T) {
	t.Parallel()
	p := func(t, age time.Duration) Point { return Point{T: Seconds(t), Age: Seconds(age)} }
	for name, test := range map[string]struct {
		samples Samples
		window  Window
		want    []Point
	}{
		"a stall": {
			silent(60*s, 11*s, 30500*time.Millisecond),
			Window{From: 8 * s, Fault: 10 * s, End: 34 * s},
			[]Point{
				p(-2*s, 2*s),         // the commit at 6 s is live
				p(-s, 3*s), p(-s, s), // that at 8 s becomes live at 9 s
				p(s, 3*s), p(s, s), // 10 s, at 11 s
				p(20500*time.Millisecond, 20500*time.Millisecond), // the end of the stall: 30 s, at 30.5 s
				p(20500*time.Millisecond, 500*time.Millisecond),   //
				p(23*s, 3*s), p(23*s, s), // 32 s, at 33 s
				p(24*s, 2*s), // the end
			},
		},
		"nothing live before": {
			steady(60 * s),
			Window{Fault: s, End: 4 * s},
			[]Point{p(2*s, s), p(3*s, 2*s)},
		},
		"nothing live in it": {
			silent(60*s, 5*s, 50*s),
			Window{From: 6 * s, Fault: 10 * s, End: 20 * s},
			[]Point{p(-4*s, 2*s), p(10*s, 16*s)},
		},
		"nothing live at all": {steady(60 * s), Window{Fault: s, End: 2 * s}, nil},
	} {
		if diff := cmp.Diff(test.want, curve(test.samples, test.window)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestLagOf(t *testing.T) {
	t.Parallel()
	lags := Samples{
		Commits: []Commit{{1, 2 * s, 2 * s}, {2, 4 * s, 4 * s}, {3, 6 * s, 6 * s}, {4, 8 * s, 8 * s}, {5, 10 * s, 10 * s}},
		// The second one is live with the third.
		Lives: []Live{{Sequence: 1, At: 3 * s}, {Sequence: 3, At: 7 * s}, {Sequence: 4, At: 8 * s}},
	}
	for name, test := range map[string]struct {
		from, to, until time.Duration
		want            Lag
	}{
		"all":               {0, 10 * s, 20 * s, Lag{Commits: 5, Live: 4, Median: Seconds(s), Max: Seconds(3 * s)}},
		"an even number":    {3 * s, 6 * s, 20 * s, Lag{Commits: 2, Live: 2, Median: Seconds(2 * s), Max: Seconds(3 * s)}},
		"live by then":      {0, 10 * s, 6 * s, Lag{Commits: 5, Live: 1, Median: Seconds(s), Max: Seconds(s)}},
		"the end is inside": {2 * s, 4 * s, 20 * s, Lag{Commits: 1, Live: 1, Median: Seconds(3 * s), Max: Seconds(3 * s)}},
		"none":              {20 * s, 30 * s, 40 * s, Lag{}},
	} {
		if diff := cmp.Diff(test.want, LagOf(lags, test.from, test.to, test.until)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestResultAsJSON(t *testing.T) {
	t.Parallel()
	stall := Seconds(16400400 * time.Microsecond)
	for name, test := range map[string]struct {
		result Result
		want   string
	}{
		"recovered": {
			Result{Recovered: true, Stall: &stall, LongestGap: Seconds(15 * s), Curve: []Point{{T: Seconds(-s), Age: Seconds(500 * time.Millisecond)}}},
			`{"recovered":true,"stallSeconds":16.4,"uncertaintySeconds":0,"longestGapSeconds":15,"observedSeconds":0,"blindSeconds":0,"commits":0,` +
				`"baseline":{"commits":0,"live":0,"medianSeconds":0,"maxSeconds":0},"curve":[{"t":-1,"age":0.5}]}`,
		},
		"not recovered": {
			Result{Observed: Seconds(600 * s)},
			`{"recovered":false,"stallSeconds":null,"uncertaintySeconds":0,"longestGapSeconds":0,"observedSeconds":600,"blindSeconds":0,"commits":0,` +
				`"baseline":{"commits":0,"live":0,"medianSeconds":0,"maxSeconds":0},"curve":null}`,
		},
	} {
		text, err := json.Marshal(test.result)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, string(text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		var back Result
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(back)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, string(again)); diff != "" {
			t.Errorf("%s, read back (-want +got):\n%s", name, diff)
		}
	}
}

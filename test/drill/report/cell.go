package report

import (
	"cmp"
	"math"
	"slices"

	"github.com/mainstay-dev/mainstay/test/drill/record"
	"github.com/mainstay-dev/mainstay/test/stall"
)

// minForP95 is the least number of runs of which one in twenty is a whole run.
const minForP95 = 20

// Cell sums up the runs of one fault on one controller's worker with one variant.
// All times are in seconds. A figure that is missing is one that the runs do not
// give: a stall that did not end has no length.
type Cell struct {
	Variant    string `json:"variant"`
	Fault      string `json:"fault"`
	Controller string `json:"controller,omitempty"`
	// Runs that have a measurement, and how many of them recovered.
	Runs      int `json:"runs"`
	Recovered int `json:"recovered"`
	// Problems counts the runs without a measurement.
	Problems int `json:"problems,omitempty"`
	// Unsupported says why this machine cannot produce the fault.
	Unsupported string `json:"unsupported,omitempty"`
	// ShortestCap is the shortest time that a run which did not recover was given;
	// where all recovered, the shortest of all.
	ShortestCap float64 `json:"shortestCapSeconds,omitempty"`
	// Median, P95, Min and Max of the stall over all runs, where a run that did not
	// recover counts as longer than any other.
	Median *float64 `json:"medianSeconds,omitempty"`
	P95    *float64 `json:"p95Seconds,omitempty"`
	Min    *float64 `json:"minSeconds,omitempty"`
	Max    *float64 `json:"maxSeconds,omitempty"`
	// LongestGap is the longest time, in any run, without anything new being live.
	LongestGap float64 `json:"longestGapSeconds,omitempty"`
}

// cells groups runs, in the order in which the groups first appear.
func cells(runs []record.Run) []Cell {
	type group struct{ variant, fault, controller string }
	var order []group
	of := map[group][]record.Run{}
	for _, run := range runs {
		g := group{run.Variant, run.Fault, run.Controller}
		if _, known := of[g]; !known {
			order = append(order, g)
		}
		of[g] = append(of[g], run)
	}
	out := make([]Cell, 0, len(order))
	for _, g := range order {
		cell := Cell{Variant: g.variant, Fault: g.fault, Controller: g.controller}
		cell.sum(of[g])
		out = append(out, cell)
	}
	return out
}

func (c *Cell) sum(runs []record.Run) {
	var stalls []float64
	limit := math.Inf(1)
	limitUnrecovered := math.Inf(1)
	for _, run := range runs {
		m := run.Measured
		switch {
		case m != nil && m.Stall != nil:
			c.Recovered++
			stalls = append(stalls, seconds(*m.Stall))
			limit = min(limit, run.CapSeconds)
		case m != nil:
			stalls = append(stalls, math.Inf(1))
			limitUnrecovered = min(limitUnrecovered, run.CapSeconds)
		case run.Unsupported != "":
			c.Unsupported = run.Unsupported
			continue
		default:
			c.Problems++
			continue
		}
		c.LongestGap = max(c.LongestGap, seconds(m.LongestGap))
	}
	c.Runs = len(stalls)
	if c.Runs == 0 {
		return
	}
	c.ShortestCap = limit
	if c.Recovered < c.Runs {
		c.ShortestCap = limitUnrecovered
	}
	slices.Sort(stalls)
	c.Min, c.Max = finite(stalls[0]), finite(stalls[len(stalls)-1])
	c.Median = finite(median(stalls))
	if c.Runs >= minForP95 {
		c.P95 = finite(percentile(stalls, 95))
	}
}

// median of sorted values, of which there is at least one.
func median(sorted []float64) float64 {
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// percentile of sorted values by the nearest rank, so that it is one of them.
func percentile(sorted []float64, percent int) float64 {
	rank := (percent*len(sorted) + 99) / 100
	return sorted[max(rank, 1)-1]
}

func seconds(s stall.Seconds) float64 { return s.Duration().Seconds() }

// finite is nil for the stall of a run that did not recover.
func finite(v float64) *float64 {
	if math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// Ratio compares the stalls of two variants on the same fault in one report.
type Ratio struct {
	Fault      string `json:"fault"`
	Controller string `json:"controller,omitempty"`
	Variant    string `json:"variant"`
	Against    string `json:"against"`
	// Value is the median stall of Variant as a part of that of Against.
	Value float64 `json:"value"`
	// AtMost says that Against did not recover within its cap, which stands in for
	// its stall: the true ratio is Value or less.
	AtMost bool `json:"atMost,omitempty"`
}

// ratios of a variant against another, where both were measured and the first
// recovered.
func ratios(all []Cell, variant, against string) []Ratio {
	var out []Ratio
	for _, c := range all {
		if c.Variant != variant || c.Median == nil {
			continue
		}
		i := slices.IndexFunc(all, func(o Cell) bool {
			return o.Variant == against && o.Fault == c.Fault && o.Controller == c.Controller && o.Runs > 0
		})
		if i < 0 {
			continue
		}
		base, atMost := all[i].ShortestCap, true
		if all[i].Median != nil {
			base, atMost = *all[i].Median, false
		}
		if base <= 0 {
			continue
		}
		out = append(out, Ratio{
			Fault: c.Fault, Controller: c.Controller, Variant: variant, Against: against,
			Value: *c.Median / base, AtMost: atMost,
		})
	}
	slices.SortStableFunc(out, func(a, b Ratio) int {
		return cmp.Or(cmp.Compare(a.Fault, b.Fault), cmp.Compare(a.Controller, b.Controller))
	})
	return out
}

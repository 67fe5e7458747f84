package report

import (
	"fmt"
	"math"
	"strings"
)

// span is a length of time as people write it.
func span(seconds float64) string {
	if seconds >= 120 && math.Mod(seconds, 60) == 0 {
		return fmt.Sprintf("%.0f min", seconds/60)
	}
	if seconds == math.Trunc(seconds) {
		return fmt.Sprintf("%.0f s", seconds)
	}
	return fmt.Sprintf("%.1f s", seconds)
}

// figure is a measured time.
func figure(seconds float64) string { return fmt.Sprintf("%.1f s", seconds) }

// gapWorthSaying is by how many seconds the longest gap must exceed the longest
// stall to be told beside it: a commit that came through before the fault bit
// makes the stall short and the gap long.
const gapWorthSaying = 5

// text is a cell of the table.
func (c Cell) text() string {
	switch {
	case c.Runs == 0 && c.Unsupported != "":
		return "not on this machine"
	case c.Runs == 0 && c.Problems > 0:
		return "no measurement"
	case c.Runs == 0:
		return "–"
	}
	var out strings.Builder
	switch {
	case c.Recovered == 0 && c.Runs == 1:
		fmt.Fprintf(&out, "**did not recover within %s**", span(c.ShortestCap))
	case c.Recovered == 0:
		fmt.Fprintf(&out, "**did not recover within %s** (%d runs)", span(c.ShortestCap), c.Runs)
	case c.Runs == 1:
		out.WriteString(figure(*c.Median))
	case c.Recovered < c.Runs:
		fmt.Fprintf(&out, "**%d of %d runs did not recover within %s**, %s", c.Runs-c.Recovered, c.Runs, span(c.ShortestCap), c.spread())
	default:
		out.WriteString(c.spread())
	}
	if c.Max != nil && c.LongestGap > *c.Max+gapWorthSaying {
		fmt.Fprintf(&out, "; **longest gap %s**", figure(c.LongestGap))
	}
	return out.String()
}

// spread says the median and the range, or with enough runs the percentile.
func (c Cell) spread() string {
	low := figure(*c.Min)
	high := "no end"
	if c.Max != nil {
		high = figure(*c.Max)
	}
	middle := "no end"
	if c.Median != nil {
		middle = figure(*c.Median)
	}
	rest := fmt.Sprintf("%s to %s, %d runs", low, high, c.Runs)
	if c.Runs >= minForP95 {
		p95 := "no end"
		if c.P95 != nil {
			p95 = figure(*c.P95)
		}
		return fmt.Sprintf("p95 %s (median %s, %s)", p95, middle, rest)
	}
	return fmt.Sprintf("%s (%s)", middle, rest)
}

func (r Ratio) text() string {
	places := 2
	if r.Value < 0.1 {
		places = 3
	}
	sign := ""
	if r.AtMost {
		sign = "≤ "
	}
	return fmt.Sprintf("%s%.*f", sign, places, r.Value)
}

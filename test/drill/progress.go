package main

import (
	"fmt"
	"io"
	"time"

	"github.com/mainstay-dev/mainstay/test/drill/record"
)

// Costs of a run beside the time that its fault is given, before any was measured.
const (
	aroundRun    = time.Minute
	clusterStart = 2 * time.Minute
)

// progress says how far the drill is.
type progress struct {
	out   io.Writer
	began time.Time
	now   func() time.Time
	items []item
	// done are the runs that have a record, of this drill or an earlier one.
	done map[record.Key]record.Run
}

// say prints one line below the current run.
func (p *progress) say(format string, args ...any) {
	_, _ = fmt.Fprintf(p.out, "[%8s]    %s\n", p.elapsed(), fmt.Sprintf(format, args...))
}

func (p *progress) elapsed() time.Duration { return p.now().Sub(p.began).Truncate(time.Second) }

// starting prints the line of a run that begins.
func (p *progress) starting(at item) {
	finished := 0
	for _, it := range p.items {
		if _, known := p.done[it.Key]; known {
			finished++
		}
	}
	left, measured := p.left()
	bound := "at most "
	if measured {
		bound = "about "
	}
	_, _ = fmt.Fprintf(p.out, "[%8s] %d/%d  %s (cap %s); %s%s left\n",
		p.elapsed(), finished+1, len(p.items), at.Key, at.limit, bound, left.Round(time.Minute))
}

// finished prints what came of a run and remembers it.
func (p *progress) finished(run record.Run) {
	p.done[run.Key] = run
	switch m := run.Measured; {
	case m == nil && run.Unsupported != "":
		p.say("cannot be produced on this machine: %s", run.Unsupported)
	case m == nil:
		p.say("no measurement: %s", run.Problem)
	case m.Stall != nil:
		p.say("stall %s, longest gap %s, healthy lag %s", *m.Stall, m.LongestGap, m.Baseline.Median)
	default:
		p.say("did not recover within %s, healthy lag %s", time.Duration(run.CapSeconds*float64(time.Second)), m.Baseline.Median)
	}
}

// left estimates how long the runs that have no record take, and says whether all of
// the estimate was measured. What was not is taken at its cap.
func (p *progress) left() (time.Duration, bool) {
	var sum time.Duration
	measured := true
	started := map[string]bool{}
	for _, it := range p.items {
		if _, known := p.done[it.Key]; known {
			started[it.Variant] = true
			continue
		}
		if it.unsupported != nil {
			continue
		}
		if !started[it.Variant] {
			started[it.Variant] = true
			sum += clusterStart
		}
		took, known := p.usual(it)
		if !known {
			took, measured = it.limit+aroundRun, false
		}
		sum += took
	}
	return sum, measured
}

// usual is how long a run like this one took last.
func (p *progress) usual(like item) (time.Duration, bool) {
	var took time.Duration
	var best int
	for key, run := range p.done {
		if run.Measured == nil || key.Variant != like.Variant || key.Fault != like.Fault {
			continue
		}
		closeness := 1
		if key.Controller == like.Controller {
			closeness = 1 + key.Number
		}
		if closeness > best {
			best, took = closeness, time.Duration(run.TookSeconds*float64(time.Second))
		}
	}
	return took, best > 0
}

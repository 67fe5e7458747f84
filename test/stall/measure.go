package stall

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Window is when what happened, on the clock of the meter.
type Window struct {
	// From is when the baseline begins.
	From time.Duration
	// Fault is when the fault was injected.
	Fault time.Duration
	// End is the end of the observation.
	End time.Duration
}

// MaxGap is for how long nothing new may become live while commits are made every few
// seconds: what takes longer is a stall.
const MaxGap = 10 * time.Second

// maxFirstCommit is how long after the fault the first commit may be made, five of the
// default periods. Later than that it was the meter that stood still.
const maxFirstCommit = 10 * time.Second

// maxSilence is for how long before its end an observation may be without sight of
// the cluster. Without sight, nobody can tell a stall from a recovery.
const maxSilence = 10 * time.Second

// errUnknown is in the error of samples that cannot tell what happened.
var errUnknown = errors.New("the samples do not cover it")

// Measure computes what a fault did. It is an error, and no stall, when the samples
// cannot tell: the window begins before them, no commit was made soon after the fault,
// or the cluster was out of sight at the end.
func Measure(s Samples, w Window) (Result, error) {
	if err := w.check(s); err != nil {
		return Result{}, fmt.Errorf("measuring from %s over the fault at %s to %s: %w", round(w.From), round(w.Fault), round(w.End), err)
	}
	first, made := s.madeAfter(w.Fault)
	if !made || first.At > w.End {
		return Result{}, fmt.Errorf("measuring the fault at %s: %w: no commit was made from then to %s", round(w.Fault), errUnknown, round(w.End))
	}
	if late := first.At - w.Fault; late > maxFirstCommit {
		return Result{}, fmt.Errorf("measuring the fault at %s: %w: the first commit after it was made %s later", round(w.Fault), errUnknown, round(late))
	}
	longest, lastEnd := gaps(s, w.Fault, w.End)
	r := Result{
		FirstCommit: Seconds(first.At - w.Fault),
		LongestGap:  Seconds(longest),
		LastGapEnd:  Seconds(lastEnd - w.Fault),
		Observed:    Seconds(w.End - w.Fault),
		Blind:       Seconds(blind(s, w.Fault, w.End)),
		Commits:     len(between(s.Commits, w.Fault, w.End)),
		Baseline:    LagOf(s, w.From, w.Fault, w.Fault),
		Curve:       curve(s, w),
	}
	live, ok := s.live(first.Sequence)
	if !ok || live.At > w.End || lastEnd == w.End {
		if silence := w.End - s.Looked; silence > maxSilence {
			return Result{}, fmt.Errorf("measuring the fault at %s: %w: the cluster was out of sight for the last %s", round(w.Fault), errUnknown, round(silence))
		}
		return r, nil
	}
	r.Recovered = true
	stall := Seconds(live.At - w.Fault)
	r.Stall = &stall
	// It was not live before it was made.
	r.Uncertainty = Seconds(min(live.Unseen, max(0, live.At-first.At)))
	return r, nil
}

func (w Window) check(s Samples) error {
	switch {
	case w.From > w.Fault || w.Fault >= w.End:
		return errors.New("the times are not in this order")
	case w.From < s.From:
		return fmt.Errorf("%w: they begin at %s", errUnknown, round(s.From))
	}
	return nil
}

// LagOf is the lag of the commits made after from and until to, as far as they are
// live at until.
func LagOf(s Samples, from, to, until time.Duration) Lag {
	var lags []time.Duration
	commits := between(s.Commits, from, to)
	for _, c := range commits {
		if live, ok := s.live(c.Sequence); ok && live.At <= until {
			lags = append(lags, max(0, live.At-c.At))
		}
	}
	lag := Lag{Commits: len(commits), Live: len(lags)}
	if len(lags) > 0 {
		slices.Sort(lags)
		lag.Median, lag.Max = Seconds(median(lags)), Seconds(lags[len(lags)-1])
	}
	return lag
}

func median(sorted []time.Duration) time.Duration {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func between(commits []Commit, from, to time.Duration) []Commit {
	var in []Commit
	for _, c := range commits {
		if c.At > from && c.At <= to {
			in = append(in, c)
		}
	}
	return in
}

// gaps returns the longest time without anything new, and the end of the last such time
// that is longer than MaxGap: from when there is none, to when it was not over.
func gaps(s Samples, from, to time.Duration) (longest, lastEnd time.Duration) {
	last, lastEnd := from, from
	for _, l := range append(s.within(from, to), Live{At: to}) {
		gap := l.At - last
		if gap > MaxGap {
			lastEnd = l.At
		}
		longest, last = max(longest, gap), l.At
	}
	return longest, lastEnd
}

// calmSince is since when commits are live without a gap longer than MaxGap, and
// whether they are now.
func calmSince(s Samples, fault, now time.Duration) (time.Duration, bool) {
	first, made := s.madeAfter(fault)
	if !made {
		return 0, false
	}
	live, ok := s.live(first.Sequence)
	if !ok {
		return 0, false
	}
	_, lastEnd := gaps(s, live.At, now)
	return lastEnd, lastEnd < now || live.At == now
}

func blind(s Samples, from, to time.Duration) time.Duration {
	var sum time.Duration
	for _, b := range s.Blind {
		sum += max(0, min(b.To, to)-max(b.From, from))
	}
	return sum
}

// curve begins with the newest commit that was live at the window's beginning, or,
// when there was none, with the first one that became live.
func curve(s Samples, w Window) []Point {
	var points []Point
	var made time.Duration
	known := false
	add := func(t time.Duration) {
		points = append(points, Point{T: Seconds(t - w.Fault), Age: Seconds(t - made)})
	}
	for _, l := range s.Lives {
		at, ok := s.made(l.Sequence)
		switch {
		case !ok || l.At > w.End:
			continue
		case l.At <= w.From:
			made, known = at, true
			continue
		case known:
			if len(points) == 0 {
				add(w.From)
			}
			add(l.At)
		}
		made, known = at, true
		add(l.At)
	}
	if known {
		if len(points) == 0 {
			add(w.From)
		}
		add(w.End)
	}
	return points
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

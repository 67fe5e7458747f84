package stall

import (
	"slices"
	"time"
)

// Commit is a change that was made in Git. Times are on the clock of the meter.
type Commit struct {
	Sequence int64
	// Begun is when the commit was begun: it is after a fault when this is.
	Begun time.Duration
	// At is when Git had it, some milliseconds later.
	At time.Duration
}

// Live is a moment at which something newer became live.
type Live struct {
	// Sequence is the newest commit that was live then. Commits before it that were
	// never seen live became live with it.
	Sequence int64
	// At is when it was seen.
	At time.Duration
	// Unseen is how long before At the cluster could not be looked at: it may have
	// been live that much earlier. Zero when the cluster was in sight.
	Unseen time.Duration
}

// Samples are what a meter saw, oldest first. Sequence numbers and times ascend.
type Samples struct {
	Commits []Commit
	Lives   []Live
	// Looked is when the cluster was last in sight.
	Looked time.Duration
	// Blind are the times at which the cluster was not in sight, oldest first.
	Blind []Span
	// From is the time since which nothing is missing: older samples can have been
	// dropped to bound the memory.
	From time.Duration
}

// Span is a time from From until To.
type Span struct {
	From, To time.Duration
}

// madeAfter is the first commit that was begun after t.
func (s Samples) madeAfter(t time.Duration) (Commit, bool) {
	i, _ := slices.BinarySearchFunc(s.Commits, t, func(c Commit, t time.Duration) int {
		if c.Begun <= t {
			return -1
		}
		return 1
	})
	if i == len(s.Commits) {
		return Commit{}, false
	}
	return s.Commits[i], true
}

// live is the first moment at which the commit, or a later one, was live.
func (s Samples) live(sequence int64) (Live, bool) {
	i, _ := slices.BinarySearchFunc(s.Lives, sequence, func(l Live, sequence int64) int {
		if l.Sequence < sequence {
			return -1
		}
		return 1
	})
	if i == len(s.Lives) {
		return Live{}, false
	}
	return s.Lives[i], true
}

// made is when a commit was made.
func (s Samples) made(sequence int64) (time.Duration, bool) {
	i, found := slices.BinarySearchFunc(s.Commits, sequence, func(c Commit, sequence int64) int {
		return int(c.Sequence - sequence)
	})
	if !found {
		return 0, false
	}
	return s.Commits[i].At, true
}

// within are the moments after from and until to at which something became live.
func (s Samples) within(from, to time.Duration) []Live {
	var in []Live
	for _, l := range s.Lives {
		if l.At > from && l.At <= to {
			in = append(in, l)
		}
	}
	return in
}

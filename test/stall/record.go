package stall

import (
	"slices"
	"sync"
	"time"
)

// maxSamples bounds what is kept of each kind: more than four hours at the default
// period.
const maxSamples = 8192

// record holds what a meter saw. It is safe for concurrent use.
type record struct {
	first int64 // the number before the first commit

	mu      sync.Mutex
	kept    Samples
	failure error
	dark    bool          // out of sight now
	lost    time.Duration // since when
	wake    chan struct{}
}

func newRecord(first int64) *record {
	return &record{first: first, wake: make(chan struct{})}
}

// changed is closed when something is recorded.
func (r *record) changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wake
}

func (r *record) changedLocked() {
	close(r.wake)
	r.wake = make(chan struct{})
}

func (r *record) committed(c Commit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept.Commits = append(r.kept.Commits, c)
	if n := len(r.kept.Commits) - maxSamples; n > 0 {
		r.kept.From = max(r.kept.From, r.kept.Commits[n-1].At)
		r.kept.Commits = slices.Delete(r.kept.Commits, 0, n)
	}
	r.changedLocked()
}

func (r *record) newest() Commit {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.kept.Commits); n > 0 {
		return r.kept.Commits[n-1]
	}
	return Commit{Sequence: r.first}
}

// latest is the newest sequence number that was live, 0 when none was.
func (r *record) latest() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.kept.Lives); n > 0 {
		return r.kept.Lives[n-1].Sequence
	}
	return 0
}

// saw records that the cluster had a sequence number at a time. Numbers that are not
// newer, such as those of another meter, only prove that the cluster was in sight.
func (r *record) saw(sequence int64, at time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	live := Live{Sequence: sequence, At: at}
	if lost, blind := r.blindSince(at); blind {
		live.Unseen = at - lost
		r.kept.Blind = append(r.kept.Blind, Span{From: lost, To: at})
		if n := len(r.kept.Blind) - maxSamples; n > 0 {
			r.kept.From = max(r.kept.From, r.kept.Blind[n-1].To)
			r.kept.Blind = slices.Delete(r.kept.Blind, 0, n)
		}
		r.dark = false
	}
	r.kept.Looked = max(r.kept.Looked, at)
	last := r.first
	if n := len(r.kept.Lives); n > 0 {
		last = r.kept.Lives[n-1].Sequence
	}
	if sequence <= last {
		return
	}
	r.kept.Lives = append(r.kept.Lives, live)
	if n := len(r.kept.Lives) - maxSamples; n > 0 {
		r.kept.From = max(r.kept.From, r.kept.Lives[n-1].At)
		r.kept.Lives = slices.Delete(r.kept.Lives, 0, n)
	}
	r.changedLocked()
}

// blindSince is since when nobody could see the cluster at a time, if so: looks failed,
// or none was made, as on a machine that stood still.
func (r *record) blindSince(at time.Duration) (time.Duration, bool) {
	if r.dark {
		return r.lost, true
	}
	return r.kept.Looked, at-r.kept.Looked > lookEvery+lookTimeout
}

// lose records that the cluster is out of sight, since the last time that it was seen.
func (r *record) lose() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.dark {
		r.dark, r.lost = true, r.kept.Looked
	}
}

func (r *record) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure == nil {
		r.failure = err
	}
	r.changedLocked()
}

func (r *record) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failure
}

// samples are a copy of what is kept at a time.
func (r *record) samples(now time.Duration) Samples {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.kept
	s.Commits, s.Lives, s.Blind = slices.Clone(s.Commits), slices.Clone(s.Lives), slices.Clone(s.Blind)
	if lost, blind := r.blindSince(now); blind {
		s.Blind = append(s.Blind, Span{From: lost, To: now})
	}
	return s
}

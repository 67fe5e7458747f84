package health

import (
	"fmt"
	"sync"
	"time"
)

const (
	// reviewsKept is how many reviews are looked at, the latest.
	reviewsKept = 100
	// reviewsLeast is how many there have to be to say anything.
	reviewsLeast = 10
	// reviewsAge is how long one counts, so that a replica which gets none any more is
	// not judged by what is over.
	reviewsAge = 30 * time.Second
)

// reviews are the outcomes of the latest reviews.
type reviews struct {
	mu     sync.Mutex
	at     [reviewsKept]time.Time
	failed [reviewsKept]bool
	next   int
}

func (r *reviews) add(now time.Time, failed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at[r.next], r.failed[r.next] = now, failed
	r.next = (r.next + 1) % reviewsKept
}

// check returns an error when more than half of them failed.
func (r *reviews) check(now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	count, failed := 0, 0
	for i, at := range r.at {
		if at.IsZero() || now.Sub(at) > reviewsAge {
			continue
		}
		count++
		if r.failed[i] {
			failed++
		}
	}
	if count < reviewsLeast || failed*2 <= count {
		return nil
	}
	return fmt.Errorf("%d of the last %d reviews failed for a reason of this replica's own", failed, count)
}

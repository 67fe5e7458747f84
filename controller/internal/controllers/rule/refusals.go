package rule

import (
	"time"

	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// Refusals know since when the API server forbids to write what rules need. The zero value
// has seen nothing; it is not safe for concurrent use, as each reconciler has one worker.
type Refusals struct {
	since map[rule.Key]time.Time
}

// Again takes that a write for a rule was forbidden. It returns after how long to try again,
// and whether the refusal has lasted long enough to be reported.
func (r *Refusals) Again(key rule.Key, now time.Time) (wait time.Duration, lasts bool) {
	since, known := r.since[key]
	if !known {
		if r.since == nil {
			r.since = map[rule.Key]time.Time{}
		}
		since = now
		r.since[key] = since
	}
	if now.Sub(since) >= policy.Lasting {
		return policy.Lasting, true
	}
	return policy.Lasting / 6, false
}

// Forget takes that nothing is forbidden for a rule any more.
func (r *Refusals) Forget(key rule.Key) { delete(r.since, key) }

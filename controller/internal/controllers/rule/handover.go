package rule

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// Handover knows how long, of policies and the webhook, the one that enforced a rule still
// has to. The zero value has seen nothing; it is not safe for concurrent use, as each
// reconciler has one worker.
type Handover struct {
	seen map[rule.Key]takeOver
}

// takeOver is when a generation of a rule was first seen to be enforced.
type takeOver struct {
	uid        types.UID
	generation int64
	since      time.Time
}

// Left is how long the former one still enforces a rule: until the other one has enforced
// this generation for policy.Settling, or had nothing to enforce it on. It is not positive
// once the former one may stop.
func (h *Handover) Left(other Enforcement, key rule.Key, uid types.UID, generation int64, now time.Time) time.Duration {
	by, known := other.Report(key)
	if !known || by.UID != uid || by.Generation != generation || !by.InPlace() {
		h.Forget(key)
		return policy.Settling
	}
	seen := h.seen[key]
	if seen.uid != uid || seen.generation != generation {
		if h.seen == nil {
			h.seen = map[rule.Key]takeOver{}
		}
		seen = takeOver{uid: uid, generation: generation, since: now}
		h.seen[key] = seen
	}
	return policy.Settling - now.Sub(seen.since)
}

// Forget takes that a rule is gone, or enforced by one of them alone.
func (h *Handover) Forget(key rule.Key) { delete(h.seen, key) }

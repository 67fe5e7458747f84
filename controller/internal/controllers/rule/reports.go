package rule

import (
	"sync"

	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// Reports are what somebody last found out about how rules are enforced. The zero
// value has none; it is safe for concurrent use.
type Reports struct {
	mu        sync.Mutex
	known     map[rule.Key]policy.Report
	listeners []func(rule.Key)
}

var _ Enforcement = (*Reports)(nil)

// Report returns what is known of a rule; false where nothing is.
func (r *Reports) Report(key rule.Key) (policy.Report, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	report, ok := r.known[key]
	return report, ok
}

// OnChange has f called with the key of each rule whose Report changed. It must
// return quickly.
func (r *Reports) OnChange(f func(rule.Key)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listeners = append(r.listeners, f)
}

// Set takes what is known of one rule.
func (r *Reports) Set(key rule.Key, report policy.Report) {
	r.mu.Lock()
	changed := r.known[key] != report
	if r.known == nil {
		r.known = map[rule.Key]policy.Report{}
	}
	r.known[key] = report
	listeners := r.listeners
	r.mu.Unlock()
	if changed {
		tell(listeners, key)
	}
}

// Forget takes that nothing is known of a rule any more. Where something was, the others
// who speak of rules may be heard now.
func (r *Reports) Forget(key rule.Key) {
	r.mu.Lock()
	_, known := r.known[key]
	delete(r.known, key)
	listeners := r.listeners
	r.mu.Unlock()
	if known {
		tell(listeners, key)
	}
}

// Replace takes what is known of all rules: of others nothing is.
func (r *Reports) Replace(known map[rule.Key]policy.Report) {
	r.mu.Lock()
	var changed []rule.Key
	for key, report := range known {
		if r.known[key] != report {
			changed = append(changed, key)
		}
	}
	for key := range r.known {
		if _, still := known[key]; !still {
			changed = append(changed, key)
		}
	}
	r.known = known
	listeners := r.listeners
	r.mu.Unlock()
	tell(listeners, changed...)
}

func tell(listeners []func(rule.Key), keys ...rule.Key) {
	for _, key := range keys {
		for _, f := range listeners {
			f(key)
		}
	}
}

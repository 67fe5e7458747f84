package webhook

import (
	"sync"

	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// reports are what was last found out about each rule that needs the webhook.
type reports struct {
	mu        sync.Mutex
	known     map[rule.Key]policy.Report
	listeners []func(rule.Key)
}

// Report returns what is known of a rule's entries; false where nothing is.
func (r *Reconciler) Report(key rule.Key) (policy.Report, bool) {
	r.reports.mu.Lock()
	defer r.reports.mu.Unlock()
	report, ok := r.reports.known[key]
	return report, ok
}

// OnChange has f called with the key of each rule whose Report changed. It must
// return quickly.
func (r *Reconciler) OnChange(f func(rule.Key)) {
	r.reports.mu.Lock()
	defer r.reports.mu.Unlock()
	r.reports.listeners = append(r.reports.listeners, f)
}

// replace takes what is said of all rules now.
func (r *reports) replace(rules []*ruled) {
	known := make(map[rule.Key]policy.Report, len(rules))
	var changed []rule.Key
	r.mu.Lock()
	for _, one := range rules {
		if one.former {
			continue
		}
		known[one.key] = one.report
		if r.known[one.key] != one.report {
			changed = append(changed, one.key)
		}
	}
	r.known = known
	listeners := r.listeners
	r.mu.Unlock()
	for _, f := range listeners {
		for _, key := range changed {
			f(key)
		}
	}
}

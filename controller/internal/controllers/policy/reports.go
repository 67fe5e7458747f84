package policy

import (
	"sync"

	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// reports are what was last found out about each rule.
type reports struct {
	mu        sync.Mutex
	known     map[rule.Key]policy.Report
	listeners []func(rule.Key)
}

// Report returns what is known of a rule's policies; false where nothing is.
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

func (r *reports) set(key rule.Key, report policy.Report) {
	r.mu.Lock()
	changed := r.known[key] != report
	if r.known == nil {
		r.known = map[rule.Key]policy.Report{}
	}
	r.known[key] = report
	listeners := r.listeners
	r.mu.Unlock()
	if !changed {
		return
	}
	for _, f := range listeners {
		f(key)
	}
}

func (r *reports) forget(key rule.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, key)
}

package manager

import (
	"github.com/mainstay-dev/mainstay/controller/internal/controllers/rule"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	rulekey "github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// enforcement joins those who speak of how rules are enforced. Of one generation of a
// rule one of them does; the other may still speak of one before.
type enforcement []rule.Enforcement

var _ rule.Enforcement = enforcement(nil)

// Report returns what is known of the latest generation that something is known of.
func (e enforcement) Report(key rulekey.Key) (policy.Report, bool) {
	var latest policy.Report
	known := false
	for _, one := range e {
		if report, ok := one.Report(key); ok && (!known || report.Generation > latest.Generation) {
			latest, known = report, true
		}
	}
	return latest, known
}

// OnChange has f called by all of them.
func (e enforcement) OnChange(f func(rulekey.Key)) {
	for _, one := range e {
		one.OnChange(f)
	}
}

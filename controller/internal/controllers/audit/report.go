package audit

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// Report is what the engine has to say about a rule.
type Report struct {
	UID        types.UID
	Generation int64
	// Settles is for how long the first result of this generation may be about to come: a
	// start of the program is no news about objects. It is 0 once there is one, or none is
	// expected.
	Settles  time.Duration
	Severity v1alpha1.Severity

	// Ready, Reason and Message are those of the Ready condition. Stalled is
	// true where the spec has to be changed.
	Ready           metav1.ConditionStatus
	Stalled         bool
	Reason, Message string

	// Summary is nil until the rule has been evaluated once, and while it cannot be.
	Summary    *v1alpha1.RuleSummary
	Violations []Violation
}

// Report returns what is known of a rule; false where there is no such rule.
func (e *Engine) Report(key rule.Key) (Report, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s, ok := e.rules[key]
	if !ok {
		return Report{}, false
	}
	r := Report{UID: s.uid, Generation: s.generation, Severity: s.severity}
	if s.found == nil && s.audited() && (!e.objects.Discovered() || s.usable() && !s.unread) {
		r.Settles = s.settles(e.clock.Now())
	}
	r.Ready, r.Reason, r.Message = s.ready(key, e.objects)
	switch r.Reason {
	case v1alpha1.ReasonInvalidExpression, v1alpha1.ReasonInvalidSpec:
		r.Stalled = true
	}
	if s.found != nil && s.usable() {
		r.Summary = new(s.found.summary)
		r.Violations = s.found.violations
	}
	return r, true
}

// ready says whether the rule is compiled and reads all that it is about.
func (s *state) ready(key rule.Key, objects Objects) (metav1.ConditionStatus, string, string) {
	switch {
	case len(s.mistakes) > 0:
		return metav1.ConditionFalse, rule.ReasonOf(s.mistakes), s.mistakes.ToAggregate().Error()
	case s.suspended:
		return metav1.ConditionTrue, v1alpha1.ReasonSuspended, "suspended: nothing is evaluated"
	case s.refusal != nil:
		return metav1.ConditionFalse, s.refusal.Reason, s.refusal.Message
	case !s.audited():
		return metav1.ConditionTrue, v1alpha1.ReasonSucceeded, "compiled; spec.modes has no Audit, so that no object is evaluated"
	case !objects.Discovered():
		return metav1.ConditionUnknown, v1alpha1.ReasonSyncing, "waiting for the API server to say what it serves"
	case len(s.refused) > 0:
		return metav1.ConditionFalse, v1alpha1.ReasonInvalidSpec, strings.Join(s.refused, "; ")
	case len(s.absent) > 0:
		return metav1.ConditionFalse, v1alpha1.ReasonKindNotFound, strings.Join(s.absent, "; ") + "; the rule starts by itself once it is installed"
	case len(s.matches) == 0:
		return metav1.ConditionFalse, v1alpha1.ReasonKindNotFound,
			"the API server serves no resource that matchConstraints.resourceRules match; the rule starts by itself once one is installed"
	}
	var forbidden, absent, syncing []string
	seen := map[schema.GroupVersionResource]bool{}
	look := func(gvr schema.GroupVersionResource) {
		if seen[gvr] {
			return
		}
		seen[gvr] = true
		switch state := objects.State(key.String(), gvr); state.Phase {
		case informer.Forbidden:
			forbidden = append(forbidden, state.Message)
		case informer.Absent:
			absent = append(absent, state.Message)
		case informer.Syncing:
			syncing = append(syncing, state.Message)
		case informer.Synced:
		}
	}
	for _, match := range s.matches {
		look(match.GroupVersionResource)
	}
	for _, gvr := range s.background() {
		look(gvr)
	}
	switch {
	case len(forbidden) > 0:
		return metav1.ConditionFalse, v1alpha1.ReasonForbidden, strings.Join(forbidden, "; ")
	case len(absent) > 0:
		return metav1.ConditionFalse, v1alpha1.ReasonKindNotFound, strings.Join(absent, "; ")
	case len(syncing) > 0 || s.found == nil:
		return metav1.ConditionUnknown, v1alpha1.ReasonSyncing, strings.Join(append(syncing, "first evaluation under way"), "; ")
	}
	return metav1.ConditionTrue, v1alpha1.ReasonSucceeded, fmt.Sprintf("auditing %s", describe(s.matches))
}

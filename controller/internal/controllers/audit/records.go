package audit

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// objectName names an object within its resource.
type objectName struct {
	namespace, name string
}

// Violation is a finding that people have to see, and the object's UID, which
// kubectl describe finds Events by.
type Violation struct {
	v1alpha1.Violation
	UID types.UID
}

// records holds the outcome for every matched object of one rule, and the
// findings that people have to see.
type records struct {
	outcomes   map[schema.GroupVersionResource]map[objectName]v1alpha1.Outcome
	violations map[objectRef]Violation
	summary    v1alpha1.RuleSummary
}

// set records a finding, or that there is none any more.
func (r *records) set(resource rule.APIResource, at objectName, uid types.UID, finding *rule.Finding) {
	gvr := resource.GroupVersionResource
	ref := objectRef{gvr: gvr, namespace: at.namespace, name: at.name}
	if outcome, had := r.outcomes[gvr][at]; had {
		r.count(outcome, -1)
		delete(r.outcomes[gvr], at)
		delete(r.violations, ref)
	}
	if finding == nil || !finding.Matched {
		return
	}
	if r.outcomes == nil {
		r.outcomes = map[schema.GroupVersionResource]map[objectName]v1alpha1.Outcome{}
		r.violations = map[objectRef]Violation{}
	}
	if r.outcomes[gvr] == nil {
		r.outcomes[gvr] = map[objectName]v1alpha1.Outcome{}
	}
	r.outcomes[gvr][at] = finding.Outcome
	r.count(finding.Outcome, 1)
	if finding.Outcome != v1alpha1.OutcomeFail && finding.Outcome != v1alpha1.OutcomeError {
		return
	}
	r.violations[ref] = Violation{UID: uid, Violation: v1alpha1.Violation{
		APIVersion: gvr.GroupVersion().String(),
		Kind:       resource.Kind,
		Namespace:  at.namespace,
		Name:       at.name,
		Outcome:    finding.Outcome,
		Reason:     finding.Reason,
		Message:    finding.Message,
	}}
}

func (r *records) count(outcome v1alpha1.Outcome, by int32) {
	switch outcome {
	case v1alpha1.OutcomePass:
		r.summary.Pass += by
	case v1alpha1.OutcomeFail:
		r.summary.Fail += by
	case v1alpha1.OutcomeError:
		r.summary.Error += by
	case v1alpha1.OutcomeSkip:
		r.summary.Skip += by
	}
}

// forget drops what is recorded of a resource.
func (r *records) forget(gvr schema.GroupVersionResource) {
	for _, outcome := range r.outcomes[gvr] {
		r.count(outcome, -1)
	}
	delete(r.outcomes, gvr)
	for ref := range r.violations {
		if ref.gvr == gvr {
			delete(r.violations, ref)
		}
	}
}

// found is what a status says of the records.
type found struct {
	summary    v1alpha1.RuleSummary
	violations []Violation
}

// result has the counts and the first violations, by namespace, name, kind and
// version.
func (r *records) result() *found {
	f := &found{summary: r.summary}
	for _, v := range r.violations {
		at, _ := slices.BinarySearchFunc(f.violations, v, byName)
		if at >= v1alpha1.MaxViolations {
			continue
		}
		if len(f.violations) == v1alpha1.MaxViolations {
			f.violations = f.violations[:v1alpha1.MaxViolations-1]
		}
		f.violations = slices.Insert(f.violations, at, v)
	}
	return f
}

func byName(a, b Violation) int {
	return cmp.Or(
		cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.APIVersion, b.APIVersion),
	)
}

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
}

// set records a finding, or that there is none any more.
func (r *records) set(resource rule.APIResource, at objectName, uid types.UID, finding *rule.Finding) {
	gvr := resource.GroupVersionResource
	ref := objectRef{gvr: gvr, namespace: at.namespace, name: at.name}
	if finding == nil || !finding.Matched {
		delete(r.outcomes[gvr], at)
		delete(r.violations, ref)
		return
	}
	if r.outcomes == nil {
		r.outcomes = map[schema.GroupVersionResource]map[objectName]v1alpha1.Outcome{}
	}
	if r.outcomes[gvr] == nil {
		r.outcomes[gvr] = map[objectName]v1alpha1.Outcome{}
	}
	r.outcomes[gvr][at] = finding.Outcome
	if finding.Outcome != v1alpha1.OutcomeFail && finding.Outcome != v1alpha1.OutcomeError {
		delete(r.violations, ref)
		return
	}
	if r.violations == nil {
		r.violations = map[objectRef]Violation{}
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

// forget drops what is recorded of a resource.
func (r *records) forget(gvr schema.GroupVersionResource) {
	delete(r.outcomes, gvr)
	for ref := range r.violations {
		if ref.gvr == gvr {
			delete(r.violations, ref)
		}
	}
}

// names lists the recorded objects of a resource in a namespace.
func (r *records) names(gvr schema.GroupVersionResource, namespace string) []objectName {
	var names []objectName
	for at := range r.outcomes[gvr] {
		if at.namespace == namespace {
			names = append(names, at)
		}
	}
	return names
}

// found is what a status says of the records.
type found struct {
	summary    v1alpha1.RuleSummary
	violations []Violation
}

// result counts the records and picks the first violations, by namespace,
// name, kind and version.
func (r *records) result() *found {
	f := &found{}
	for _, outcomes := range r.outcomes {
		for _, outcome := range outcomes {
			switch outcome {
			case v1alpha1.OutcomePass:
				f.summary.Pass++
			case v1alpha1.OutcomeFail:
				f.summary.Fail++
			case v1alpha1.OutcomeError:
				f.summary.Error++
			case v1alpha1.OutcomeSkip:
				f.summary.Skip++
			}
		}
	}
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

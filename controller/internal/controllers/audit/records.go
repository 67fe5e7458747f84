package audit

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// maxKept bounds the violations of one rule that are kept with their message. A status shows
// MaxViolations of them: with more than that at hand, all outcomes are looked through once for
// many objects that are mended.
const maxKept = 5 * v1alpha1.MaxViolations

// objectName names an object within its resource.
type objectName struct {
	namespace, name string
}

// Violation is a finding that people have to see, and the object's UID, which
// kubectl describe finds Events by.
type Violation struct {
	v1alpha1.Violation
	UID types.UID

	ref objectRef
}

// records holds the outcome for every matched object of one rule, and the
// findings that people have to see first.
type records struct {
	outcomes map[schema.GroupVersionResource]map[objectName]v1alpha1.Outcome
	summary  v1alpha1.RuleSummary
	// first are the violations that come first, in order. One without a message is to be
	// evaluated for it. Of others the outcome alone is known.
	first []Violation
}

// set records a finding, or that there is none any more.
func (r *records) set(resource rule.APIResource, at objectName, uid types.UID, finding *rule.Finding) {
	gvr := resource.GroupVersionResource
	if outcome, had := r.outcomes[gvr][at]; had {
		r.count(outcome, -1)
		delete(r.outcomes[gvr], at)
	}
	matched := finding != nil && finding.Matched
	i, kept := r.find(objectRef{gvr: gvr, namespace: at.namespace, name: at.name})
	switch fails := matched && violates(finding.Outcome); {
	case fails && kept:
		r.first[i] = violationOf(resource, at, uid, finding)
	case fails && (i < len(r.first) || !r.more()):
		r.insert(i, violationOf(resource, at, uid, finding))
	case kept:
		r.first = slices.Delete(r.first, i, i+1)
	}
	if !matched {
		return
	}
	if r.outcomes == nil {
		r.outcomes = map[schema.GroupVersionResource]map[objectName]v1alpha1.Outcome{}
	}
	if r.outcomes[gvr] == nil {
		r.outcomes[gvr] = map[objectName]v1alpha1.Outcome{}
	}
	r.outcomes[gvr][at] = finding.Outcome
	r.count(finding.Outcome, 1)
}

func violates(outcome v1alpha1.Outcome) bool {
	return outcome == v1alpha1.OutcomeFail || outcome == v1alpha1.OutcomeError
}

func violationOf(resource rule.APIResource, at objectName, uid types.UID, finding *rule.Finding) Violation {
	gvr := resource.GroupVersionResource
	return Violation{
		UID: uid,
		ref: objectRef{gvr: gvr, namespace: at.namespace, name: at.name},
		Violation: v1alpha1.Violation{
			APIVersion: gvr.GroupVersion().String(),
			Kind:       resource.Kind,
			Namespace:  at.namespace,
			Name:       at.name,
			Outcome:    finding.Outcome,
			Reason:     finding.Reason,
			Message:    finding.Message,
		},
	}
}

func (r *records) find(ref objectRef) (at int, kept bool) {
	return slices.BinarySearchFunc(r.first, ref, func(v Violation, ref objectRef) int { return inOrder(v.ref, ref) })
}

func (r *records) insert(at int, v Violation) {
	r.first = slices.Insert(r.first, at, v)
	if len(r.first) > maxKept {
		r.first = r.first[:maxKept]
	}
}

// more says whether there are violations that are not kept. They come after those that are.
func (r *records) more() bool {
	return int(r.summary.Fail+r.summary.Error) > len(r.first)
}

// refill has those kept that come next, where a status has room for more than are kept, and
// returns those whose message is missing.
func (r *records) refill() []objectRef {
	if len(r.first) >= v1alpha1.MaxViolations || !r.more() {
		return nil
	}
	for gvr, outcomes := range r.outcomes {
		for at, outcome := range outcomes {
			ref := objectRef{gvr: gvr, namespace: at.namespace, name: at.name}
			if i, kept := r.find(ref); violates(outcome) && !kept && i < maxKept {
				r.insert(i, Violation{ref: ref})
			}
		}
	}
	var missing []objectRef
	for _, v := range r.first {
		if v.Message == "" {
			missing = append(missing, v.ref)
		}
	}
	return missing
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
	r.first = slices.DeleteFunc(r.first, func(v Violation) bool { return v.ref.gvr == gvr })
}

// found is what a status says of the records.
type found struct {
	summary    v1alpha1.RuleSummary
	violations []Violation
}

// result has the counts and the first violations.
func (r *records) result() *found {
	f := &found{summary: r.summary}
	for _, v := range r.first[:min(len(r.first), v1alpha1.MaxViolations)] {
		if v.Message != "" {
			f.violations = append(f.violations, v)
		}
	}
	return f
}

// inOrder has what is on every recovery path first, and what is in no namespace: a tenant's
// findings, which may be as many as he likes, push none of those out of a status.
func inOrder(a, b objectRef) int {
	return cmp.Or(
		cmp.Compare(rank(a.namespace), rank(b.namespace)),
		cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name),
		cmp.Compare(a.gvr.Resource, b.gvr.Resource), cmp.Compare(a.gvr.Group, b.gvr.Group), cmp.Compare(a.gvr.Version, b.gvr.Version),
	)
}

func rank(namespace string) int {
	if namespace == "" || slices.Contains(policy.RecoveryNamespaces(), namespace) {
		return 0
	}
	return 1
}

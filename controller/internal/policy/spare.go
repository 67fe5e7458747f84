package policy

import (
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Spare has a policy whose rule cannot be compiled any more leave out the recovery path as it
// is now, beside all that it leaves out already.
func Spare(p *admissionregistrationv1.ValidatingAdmissionPolicy, recovery Recovery) {
	for i := range p.Spec.MatchConditions {
		condition := &p.Spec.MatchConditions[i]
		switch condition.Name {
		case conditionEdited:
			condition.Expression = edited(recovery)
		case conditionGuarded:
			condition.Expression = guarded(recovery)
			constraints := p.Spec.MatchConstraints
			constraints.NamespaceSelector.MatchExpressions = withAll(constraints.NamespaceSelector.MatchExpressions,
				[]metav1.LabelSelectorRequirement{named(metav1.LabelSelectorOpNotIn, recovery.Namespaces)})
			constraints.ExcludeResourceRules = withAll(constraints.ExcludeResourceRules, recoveryKinds())
		}
	}
}

// withAll is a list with what it lacks of others behind it.
func withAll[T any](list, others []T) []T {
	for _, other := range others {
		if !slices.ContainsFunc(list, func(one T) bool { return equality.Semantic.DeepEqual(one, other) }) {
			list = append(list, other)
		}
	}
	return list
}

package policy

import (
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// Spare is a policy of a rule's former generation, which stays and cannot be compiled any more, as
// it should be: it leaves out the recovery path as that is now, beside all that it leaves out
// already. Of labels and annotations it has Mainstay's own.
func Spare(have *admissionregistrationv1.ValidatingAdmissionPolicy, key rule.Key, recovery Recovery) *admissionregistrationv1.ValidatingAdmissionPolicy {
	p := &admissionregistrationv1.ValidatingAdmissionPolicy{
		TypeMeta: typeMeta("ValidatingAdmissionPolicy"), ObjectMeta: objectMeta(key, have.Name, metav1.OwnerReference{}), Spec: *have.Spec.DeepCopy(),
	}
	p.OwnerReferences = have.OwnerReferences
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
	return p
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

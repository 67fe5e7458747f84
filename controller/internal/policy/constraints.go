package policy

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// constraintsOf are what the rule itself matches. A namespaced Rule is confined
// to its namespace twice, because a namespaceSelector alone skips nothing that
// is in no namespace.
func constraintsOf(r *rule.Rule) *admissionregistrationv1.MatchResources {
	given := r.Spec().MatchConstraints.DeepCopy()
	out := matchAll()
	if given.NamespaceSelector != nil {
		out.NamespaceSelector = given.NamespaceSelector
	}
	if given.ObjectSelector != nil {
		out.ObjectSelector = given.ObjectSelector
	}
	out.ExcludeResourceRules = append(scoped(given.ExcludeResourceRules), ownKinds())
	out.ResourceRules = scoped(given.ResourceRules)
	if key := r.Key(); key.Kind == rule.KindRule {
		out.NamespaceSelector = &metav1.LabelSelector{
			MatchExpressions: []metav1.LabelSelectorRequirement{named(metav1.LabelSelectorOpIn, []string{key.Namespace})},
		}
		out.ResourceRules = namespacedOnly(out.ResourceRules)
	}
	return out
}

// scoped has the API server's default for the scope spelled out.
func scoped(entries []admissionregistrationv1.NamedRuleWithOperations) []admissionregistrationv1.NamedRuleWithOperations {
	for i := range entries {
		if entries[i].Scope == nil {
			entries[i].Scope = new(admissionregistrationv1.AllScopes)
		}
	}
	return entries
}

func namespacedOnly(entries []admissionregistrationv1.NamedRuleWithOperations) []admissionregistrationv1.NamedRuleWithOperations {
	var out []admissionregistrationv1.NamedRuleWithOperations
	for _, entry := range entries {
		if *entry.Scope == admissionregistrationv1.ClusterScope {
			continue
		}
		entry.Scope = new(admissionregistrationv1.NamespacedScope)
		out = append(out, entry)
	}
	return out
}

// guardedConstraints are what the rule matches off the recovery path.
func guardedConstraints(r *rule.Rule, recovery []string) *admissionregistrationv1.MatchResources {
	out := recoveryConstraints(r)
	out.NamespaceSelector.MatchExpressions = append(out.NamespaceSelector.MatchExpressions, named(metav1.LabelSelectorOpNotIn, recovery))
	out.ExcludeResourceRules = append(out.ExcludeResourceRules, recoveryKinds()...)
	return out
}

// recoveryConstraints are what the rule matches; the bindings narrow it to the
// recovery path.
func recoveryConstraints(r *rule.Rule) *admissionregistrationv1.MatchResources {
	out := constraintsOf(r)
	out.NamespaceSelector.MatchExpressions = append(out.NamespaceSelector.MatchExpressions, notBypassed())
	return out
}

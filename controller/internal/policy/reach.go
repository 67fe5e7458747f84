package policy

import (
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// reach is where a rule can match anything. It may say yes too often, where
// only the API server knows: what is made then matches nothing.
type reach struct {
	// guarded: off the recovery path; namespaces: in a recovery namespace;
	// kinds: a recovery kind.
	guarded, namespaces, kinds bool
}

// Guarded says whether a rule can match anything off the recovery path, whatever is served.
func Guarded(r *rule.Rule, recovery Recovery) bool {
	return newReach(constraintsOf(r), recovery.Namespaces).guarded
}

func newReach(constraints *admissionregistrationv1.MatchResources, recovery []string) reach {
	var out reach
	inRecovery, elsewhere := namespacesOf(constraints.NamespaceSelector, recovery)
	for i := range constraints.ResourceRules {
		entry := &constraints.ResourceRules[i]
		for _, resource := range entry.Resources {
			out.kinds = out.kinds || onPath(entry, resource, overlap)
			if covered(entry, resource) {
				continue
			}
			out.namespaces = out.namespaces || inRecovery && *entry.Scope != admissionregistrationv1.ClusterScope
			out.guarded = out.guarded || elsewhere || *entry.Scope != admissionregistrationv1.NamespacedScope
		}
	}
	return out
}

// namespacesOf says whether a selector can select recovery namespaces, and
// others, as far as it asks for names.
func namespacesOf(selector *metav1.LabelSelector, recovery []string) (inRecovery, elsewhere bool) {
	ofNames := &metav1.LabelSelector{}
	elsewhere = true
	if name, ok := selector.MatchLabels[corev1.LabelMetadataName]; ok {
		ofNames.MatchLabels = map[string]string{corev1.LabelMetadataName: name}
		elsewhere = !slices.Contains(recovery, name)
	}
	for _, requirement := range selector.MatchExpressions {
		if requirement.Key != corev1.LabelMetadataName {
			continue
		}
		ofNames.MatchExpressions = append(ofNames.MatchExpressions, requirement)
		if requirement.Operator == metav1.LabelSelectorOpIn {
			elsewhere = elsewhere && slices.ContainsFunc(requirement.Values, func(name string) bool { return !slices.Contains(recovery, name) })
		}
	}
	parsed, err := metav1.LabelSelectorAsSelector(ofNames)
	if err != nil {
		return true, true
	}
	inRecovery = slices.ContainsFunc(recovery, func(name string) bool {
		return parsed.Matches(labels.Set{corev1.LabelMetadataName: name})
	})
	return inRecovery, elsewhere
}

// covered says whether a resource of an entry is of a recovery kind whatever
// the group.
func covered(entry *admissionregistrationv1.NamedRuleWithOperations, resource string) bool {
	for _, group := range entry.APIGroups {
		one := *entry
		one.APIGroups = []string{group}
		if !onPath(&one, resource, covers) {
			return false
		}
	}
	return true
}

// onPath says whether a resource of an entry and one of the recovery kinds
// match.
func onPath(entry *admissionregistrationv1.NamedRuleWithOperations, resource string, match func(kind, pattern string) bool) bool {
	for _, kind := range recoveryKinds() {
		// A namespaced entry meets no kind that is in no namespace, nor the
		// other way round.
		if all := admissionregistrationv1.AllScopes; *entry.Scope != all && *kind.Scope != all && *entry.Scope != *kind.Scope {
			continue
		}
		groups := slices.ContainsFunc(entry.APIGroups, func(group string) bool { return match(kind.APIGroups[0], group) })
		if groups && slices.ContainsFunc(kind.Resources, func(path string) bool {
			kindName, kindSub, _ := strings.Cut(path, "/")
			name, sub, _ := strings.Cut(resource, "/")
			return match(kindName, name) && match(kindSub, sub)
		}) {
			return true
		}
	}
	return false
}

func covers(kind, pattern string) bool {
	return kind == "*" || kind == pattern
}

func overlap(kind, pattern string) bool {
	return covers(kind, pattern) || pattern == "*"
}

package check

import (
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// lessMatched are the constraints that leave out objects which were matched.
func lessMatched(was, is *v1alpha1.MatchConstraints) []weakening {
	var out []weakening
	for name, selectors := range map[string][2]*metav1.LabelSelector{
		"namespaceSelector": {was.NamespaceSelector, is.NamespaceSelector},
		"objectSelector":    {was.ObjectSelector, is.ObjectSelector},
	} {
		if !wider(selectors[0], selectors[1]) {
			out = append(out, weakening{field: "spec.matchConstraints." + name, was: selected(selectors[0]), is: selected(selectors[1])})
		}
	}
	slices.SortFunc(out, func(a, b weakening) int { return strings.Compare(a.field, b.field) })
	if lost := uncovered(is.ResourceRules, was.ResourceRules); lost != "" {
		out = append(out, weakening{field: "spec.matchConstraints.resourceRules", was: lost, is: nothing})
	}
	if excluded := uncovered(was.ExcludeResourceRules, is.ExcludeResourceRules); excluded != "" {
		out = append(out, weakening{field: "spec.matchConstraints.excludeResourceRules", was: nothing, is: excluded})
	}
	return out
}

// uncovered is what the first rules do not match of what the others do.
func uncovered(rules, others []admissionregistrationv1.NamedRuleWithOperations) string {
	var out []string
	for _, one := range each(others) {
		if !covered(rules, one) {
			out = append(out, resource(one))
		}
	}
	return some(out)
}

func selected(selector *metav1.LabelSelector) string {
	if selector == nil {
		return "everything"
	}
	return metav1.FormatLabelSelector(selector)
}

// wider says whether all that a selector selects is selected by another one,
// too: each of the other's requirements is one of its own, or implied by one.
func wider(selector, other *metav1.LabelSelector) bool {
	of := func(s *metav1.LabelSelector) (labels.Requirements, bool) {
		if s == nil {
			return nil, true
		}
		parsed, err := metav1.LabelSelectorAsSelector(s)
		if err != nil {
			return nil, false
		}
		requirements, selectable := parsed.Requirements()
		return requirements, selectable
	}
	have, ok := of(selector)
	wants, known := of(other)
	return ok && known && !slices.ContainsFunc(wants, func(want labels.Requirement) bool {
		return !slices.ContainsFunc(have, func(r labels.Requirement) bool { return implies(r, want) })
	})
}

func implies(r, want labels.Requirement) bool {
	if r.Key() != want.Key() {
		return false
	}
	in := func(op selection.Operator) bool {
		return op == selection.In || op == selection.Equals || op == selection.DoubleEquals
	}
	notIn := func(op selection.Operator) bool { return op == selection.NotIn || op == selection.NotEquals }
	has, wants := r.Values(), want.Values()
	switch {
	case in(want.Operator()):
		return in(r.Operator()) && wants.IsSuperset(has)
	case notIn(want.Operator()):
		return notIn(r.Operator()) && has.IsSuperset(wants) ||
			r.Operator() == selection.DoesNotExist || in(r.Operator()) && has.Intersection(wants).Len() == 0
	case want.Operator() == selection.Exists:
		return r.Operator() == selection.Exists || in(r.Operator())
	}
	return r.Operator() == want.Operator()
}

// each takes resource rules apart: one for each group, version, resource and
// operation.
func each(rules []admissionregistrationv1.NamedRuleWithOperations) []admissionregistrationv1.NamedRuleWithOperations {
	var out []admissionregistrationv1.NamedRuleWithOperations
	for _, r := range rules {
		for _, group := range r.APIGroups {
			for _, version := range r.APIVersions {
				for _, resource := range r.Resources {
					for _, operation := range r.Operations {
						one := r
						one.APIGroups, one.APIVersions, one.Resources = []string{group}, []string{version}, []string{resource}
						one.Operations = []admissionregistrationv1.OperationType{operation}
						out = append(out, one)
					}
				}
			}
		}
	}
	return out
}

// covered says whether one of the rules matches all that one of each does.
func covered(rules []admissionregistrationv1.NamedRuleWithOperations, one admissionregistrationv1.NamedRuleWithOperations) bool {
	holds := func(in []string, name string) bool { return slices.Contains(in, name) || slices.Contains(in, "*") }
	return slices.ContainsFunc(rules, func(r admissionregistrationv1.NamedRuleWithOperations) bool {
		return holds(r.APIGroups, one.APIGroups[0]) && holds(r.APIVersions, one.APIVersions[0]) &&
			slices.ContainsFunc(r.Resources, func(pattern string) bool { return includes(pattern, one.Resources[0]) }) &&
			(slices.Contains(r.Operations, one.Operations[0]) || slices.Contains(r.Operations, admissionregistrationv1.OperationAll)) &&
			(len(r.ResourceNames) == 0 || len(one.ResourceNames) > 0 && sets.New(r.ResourceNames...).HasAll(one.ResourceNames...)) &&
			(scope(r) == admissionregistrationv1.AllScopes || scope(r) == scope(one))
	})
}

// includes says whether a pattern of resources matches all that another one does.
func includes(pattern, other string) bool {
	if pattern == other || pattern == "*/*" {
		return true
	}
	name, sub, _ := strings.Cut(pattern, "/")
	otherName, otherSub, _ := strings.Cut(other, "/")
	// The API server takes pods/* for pods, too.
	return (name == "*" || name == otherName) && (sub == otherSub || sub == "*")
}

func scope(r admissionregistrationv1.NamedRuleWithOperations) admissionregistrationv1.ScopeType {
	return ptr.Deref(r.Scope, admissionregistrationv1.AllScopes)
}

// resource is one of each in a few words.
func resource(one admissionregistrationv1.NamedRuleWithOperations) string {
	text := string(one.Operations[0]) + " " + strings.Trim(one.APIGroups[0]+"/"+one.APIVersions[0], "/") + " " + one.Resources[0]
	if len(one.ResourceNames) > 0 {
		text += " " + strings.Join(one.ResourceNames, ", ")
	}
	if scope(one) != admissionregistrationv1.AllScopes {
		text += " (" + string(scope(one)) + ")"
	}
	return text
}

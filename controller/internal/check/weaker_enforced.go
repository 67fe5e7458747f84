package check

import (
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/utils/ptr"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// lessEnforced are the modes that are gone, and gentler answers to a request.
func lessEnforced(was, is *v1alpha1.RuleSpec) []weakening {
	var out []weakening
	for _, mode := range []v1alpha1.Mode{v1alpha1.ModeAudit, v1alpha1.ModeAdmission} {
		if rule.HasMode(was, mode) && !rule.HasMode(is, mode) {
			out = append(out, weakening{field: "spec.modes", was: string(mode), is: nothing})
		}
	}
	if !rule.HasMode(was, v1alpha1.ModeAdmission) || !rule.HasMode(is, v1alpha1.ModeAdmission) {
		return out
	}
	if before, after := actionsOf(was), actionsOf(is); gentleness(after) > gentleness(before) {
		out = append(out, weakening{field: "spec.validationActions", was: before, is: after})
	}
	if before, after := ptr.Deref(was.FailurePolicy, admissionregistrationv1.Fail), ptr.Deref(is.FailurePolicy, admissionregistrationv1.Fail); before == admissionregistrationv1.Fail && after == admissionregistrationv1.Ignore {
		out = append(out, weakening{field: "spec.failurePolicy", was: string(before), is: string(after)})
	}
	return out
}

// denies says whether a request may be rejected for a rule.
func denies(spec *v1alpha1.RuleSpec) bool {
	return rule.HasMode(spec, v1alpha1.ModeAdmission) && gentleness(actionsOf(spec)) == 0
}

// actionsOf a rule with the API's default, the least gentle first.
func actionsOf(spec *v1alpha1.RuleSpec) string {
	var names []string
	for _, action := range spec.ValidationActions {
		names = append(names, string(action))
	}
	if len(names) == 0 {
		names = []string{string(admissionregistrationv1.Deny)}
	}
	slices.SortFunc(names, func(a, b string) int { return gentleness(a) - gentleness(b) })
	return strings.Join(names, ", ")
}

// gentleness of the least gentle of some actions.
func gentleness(actions string) int {
	first, _, _ := strings.Cut(actions, ", ")
	return slices.Index([]string{string(admissionregistrationv1.Deny), string(admissionregistrationv1.Warn), string(admissionregistrationv1.Audit)}, first)
}

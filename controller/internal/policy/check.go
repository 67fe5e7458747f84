package policy

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

const (
	// maxConditions is how many match conditions the API server takes, and
	// ownConditions how many of them Mainstay adds.
	maxConditions = 64
	ownConditions = 2

	// maxSelectors is how long the selectors of a rule may be as text, in bytes: each
	// request is matched against them, and there is one object for all webhook entries.
	maxSelectors = 8 << 10

	// ownPrefix begins the names of the match conditions that Mainstay adds.
	ownPrefix = "mainstay.dev/"
)

// authorizer is what only the API server's own policies have.
const authorizer = "authorizer"

// Refusal is why a rule cannot be enforced.
type Refusal struct {
	// Reason of the conditions that report it.
	Reason string
	// Message says what to change.
	Message string
}

// NeedsWebhook says whether requests are judged by the webhook: the rule has
// mode Admission, and the API server cannot evaluate its expressions.
func NeedsWebhook(r *rule.Rule) bool {
	return r.Enforces() && len(r.Beyond()) > 0
}

// Check says why a rule with mode Admission cannot be enforced, by the API
// server or by the webhook; nil where it can, or does not have to.
func Check(r *rule.Rule) *Refusal {
	if !r.Enforces() {
		return nil
	}
	if refusal := checkExpressions(r); refusal != nil {
		return refusal
	}
	if len(constraintsOf(r).ResourceRules) == 0 {
		return invalid("spec.matchConstraints.resourceRules: all entries have the scope Cluster, and a namespaced Rule matches nothing of that")
	}
	match := &r.Spec().MatchConstraints
	if n := len(selectorText(match.NamespaceSelector)) + len(selectorText(match.ObjectSelector)); n > maxSelectors {
		return invalid("spec.matchConstraints: with mode Admission its selectors may have %d bytes together, and these have %d", maxSelectors, n)
	}
	if onlyOwnKinds(r) {
		return invalid("spec.matchConstraints.resourceRules: no request about Mainstay's own kinds is judged, so that any rule can be mended: leave out mode Admission")
	}
	return nil
}

// checkExpressions says why what judges the requests cannot have the rule's
// expressions.
func checkExpressions(r *rule.Rule) *Refusal {
	if NeedsWebhook(r) && slices.Contains(r.RequestOnly(), authorizer) {
		return invalid("spec: the expressions use %s, which takes the webhook, and authorizer, which only the API server has: leave out one of them, or make two rules of this one",
			strings.Join(r.Beyond(), " and "))
	}
	conditions := r.Spec().MatchConditions
	if NeedsWebhook(r) {
		conditions = pushedDown(r)
	}
	if most := maxConditions - ownConditions; len(conditions) > most {
		return invalid("spec.matchConditions: a rule with mode Admission may have %d, and this one has %d: join some by &&", most, len(conditions))
	}
	for i := range conditions {
		name := conditions[i].Name
		if strings.HasPrefix(name, ownPrefix) {
			return invalid("spec.matchConditions[%d].name: names that begin with %s are Mainstay's own with mode Admission: rename %q",
				i, ownPrefix, name)
		}
		if mistakes := validation.IsQualifiedName(name); len(mistakes) > 0 {
			return invalid("spec.matchConditions[%d].name: the API server takes no %q: %s", i, name, strings.Join(mistakes, "; "))
		}
	}
	return nil
}

// onlyOwnKinds says whether a rule is about Mainstay's kinds alone.
func onlyOwnKinds(r *rule.Rule) bool {
	for _, entry := range r.Spec().MatchConstraints.ResourceRules {
		for _, group := range entry.APIGroups {
			if group != v1alpha1.GroupVersion.Group {
				return false
			}
		}
	}
	return true
}

func invalid(format string, args ...any) *Refusal {
	return &Refusal{Reason: v1alpha1.ReasonInvalidSpec, Message: fmt.Sprintf(format, args...)}
}

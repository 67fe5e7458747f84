package policy

import (
	"fmt"
	"strings"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

const (
	// maxConditions is how many match conditions the API server takes, and
	// ownConditions how many of them Mainstay adds.
	maxConditions = 64
	ownConditions = 2

	// ownPrefix begins the names of the match conditions that Mainstay adds.
	ownPrefix = "mainstay.dev/"
)

// Refusal is why the API server cannot enforce a rule.
type Refusal struct {
	// Reason of the conditions that report it.
	Reason string
	// Message says what to change.
	Message string
}

// Check says why a rule with mode Admission cannot be enforced by the API
// server; nil where it can, or does not have to.
func Check(r *rule.Rule) *Refusal {
	if !r.Enforces() {
		return nil
	}
	if beyond := r.Beyond(); len(beyond) > 0 {
		return &Refusal{Reason: v1alpha1.ReasonNeedsWebhook, Message: fmt.Sprintf(
			"spec.modes: Admission needs expressions that the API server can evaluate, and these use %s, which takes a webhook that Mainstay does not have: "+
				"leave out the mode or what it is asked for", strings.Join(beyond, " and "))}
	}
	conditions := r.Spec().MatchConditions
	if most := maxConditions - ownConditions; len(conditions) > most {
		return invalid("spec.matchConditions: a rule with mode Admission may have %d, and this one has %d: join some by &&", most, len(conditions))
	}
	for i := range conditions {
		if strings.HasPrefix(conditions[i].Name, ownPrefix) {
			return invalid("spec.matchConditions[%d].name: names that begin with %s are Mainstay's own with mode Admission: rename %q",
				i, ownPrefix, conditions[i].Name)
		}
	}
	if len(constraintsOf(r).ResourceRules) == 0 {
		return invalid("spec.matchConstraints.resourceRules: all entries have the scope Cluster, and a namespaced Rule matches nothing of that")
	}
	if onlyOwnKinds(r) {
		return invalid("spec.matchConstraints.resourceRules: no request about Mainstay's own kinds is judged, so that any rule can be mended: leave out mode Admission")
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

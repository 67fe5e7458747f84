package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// EffectiveFailurePolicy is what becomes of a request where a rule cannot be
// evaluated, or nobody is there to do it. Nobody waits behind a warning: a rule
// that denies nothing has Ignore.
func EffectiveFailurePolicy(r *rule.Rule) admissionregistrationv1.FailurePolicyType {
	if !slices.Contains(ActionsOf(r), admissionregistrationv1.Deny) {
		return admissionregistrationv1.Ignore
	}
	return failurePolicyOf(r)
}

// ActionsOf are the validation actions of a rule: without any it denies.
func ActionsOf(r *rule.Rule) []admissionregistrationv1.ValidationAction {
	if actions := r.Spec().ValidationActions; len(actions) > 0 {
		return actions
	}
	return []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny}
}

// Group names the rules that can be asked by one entry of a webhook
// configuration: those with the same effective failure policy, namespaceSelector,
// objectSelector, versions, and match conditions, where the API server asks those
// itself. A request comes in one version, and a rule about any judges it in that
// one. It is a DNS label, and the same for the same spec whoever computes it: it
// stands in URLs that one replica writes and another one serves.
func Group(r *rule.Rule) string {
	constraints := &r.Spec().MatchConstraints
	parts := []string{selectorText(constraints.NamespaceSelector), selectorText(constraints.ObjectSelector)}
	if key := r.Key(); key.Kind == rule.KindRule {
		parts[0] = "namespace " + key.Namespace
	}
	if versions := versionsText(constraints.ResourceRules); versions != "v1" {
		parts = append(parts, "versions "+versions)
	}
	for _, condition := range pushedDown(r) {
		parts = append(parts, strconv.Quote(condition.Name), strconv.Quote(condition.Expression))
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return strings.ToLower(string(EffectiveFailurePolicy(r))) + "-" + hex.EncodeToString(sum[:8])
}

// versionsText is what versions entries ask for, each once.
func versionsText(entries []admissionregistrationv1.NamedRuleWithOperations) string {
	var versions []string
	for i := range entries {
		versions = append(versions, entries[i].APIVersions...)
	}
	slices.Sort(versions)
	return strings.Join(slices.Compact(versions), " ")
}

// selectorText is the same for two selectors that select the same by the same
// requirements, in whatever order they are written.
func selectorText(s *metav1.LabelSelector) string {
	if s == nil {
		return ""
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return metav1.FormatLabelSelector(s) // it does not compile, and has no group
	}
	return selector.String()
}

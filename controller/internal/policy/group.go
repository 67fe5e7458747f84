package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// NeedsWebhook says whether a rule judges requests by what the API server does
// not have.
func NeedsWebhook(r *rule.Rule) bool {
	return r.Enforces() && len(r.Beyond()) > 0
}

// Group is a short name, fit for a DNS label, of what rules have in common that
// may be one entry of the webhook configuration: what becomes of a request where
// nobody answers, and which requests are asked about.
func Group(r *rule.Rule) string {
	constraints := constraintsOf(r)
	content, err := json.Marshal(struct {
		Failure    admissionregistrationv1.FailurePolicyType
		Namespaces *metav1.LabelSelector
		Objects    *metav1.LabelSelector
		Conditions []admissionregistrationv1.MatchCondition
	}{effectiveFailurePolicy(r), constraints.NamespaceSelector, constraints.ObjectSelector, pushedDown(r)})
	if err != nil {
		// Strings and lists of strings can always be written.
		return "invalid"
	}
	sum := sha256.Sum256(content)
	return "g" + hex.EncodeToString(sum[:10])
}

// effectiveFailurePolicy is what an answer that cannot be had means: nobody is
// refused for the sake of a rule that refuses nothing.
func effectiveFailurePolicy(r *rule.Rule) admissionregistrationv1.FailurePolicyType {
	actions := r.Spec().ValidationActions
	if len(actions) > 0 && !slices.Contains(actions, admissionregistrationv1.Deny) {
		return admissionregistrationv1.Ignore
	}
	return failurePolicyOf(r)
}

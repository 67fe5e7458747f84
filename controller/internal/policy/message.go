package policy

import (
	"fmt"
	"strconv"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// validationsOf are the rule's own, each with a message that names the rule
// and how to see more of it. What a messageExpression gives has both, too; the
// message stands in where that is empty or of several lines, as for any policy.
func validationsOf(r *rule.Rule) []admissionregistrationv1.Validation {
	before, after := Frame(r.Key())
	var out []admissionregistrationv1.Validation
	for _, validation := range r.Spec().Validations {
		message := strings.Join(strings.Fields(validation.Message), " ")
		if message == "" {
			message = "failed expression: " + strings.Join(strings.Fields(validation.Expression), " ")
		}
		validation.Message = before + expr.Shorten(message, rule.MaxMessageBytes) + after
		if validation.MessageExpression != "" {
			// The line breaks end a comment, if the expression has one.
			validation.MessageExpression = fmt.Sprintf(`[
%s
].map(m, m.trim() == '' || m.contains('\n') ? '' : %s + m.trim() + %s)[0]`, validation.MessageExpression, strconv.Quote(before), strconv.Quote(after))
		}
		out = append(out, validation)
	}
	return out
}

// Frame is what stands around every message of a rule.
func Frame(key rule.Key) (before, after string) {
	if key.Kind == rule.KindRule {
		return fmt.Sprintf("Rule %s/%s: ", key.Namespace, key.Name), fmt.Sprintf(" (kubectl -n %s describe mrule %s)", key.Namespace, key.Name)
	}
	return fmt.Sprintf("ClusterRule %s: ", key.Name), fmt.Sprintf(" (kubectl describe clusterrule %s)", key.Name)
}

package policy

import (
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// answerOf is what the API server said of policies: it counts the generation
// up to which it has looked at a policy, and says where types do not fit.
func answerOf(live []*admissionregistrationv1.ValidatingAdmissionPolicy) (metav1.ConditionStatus, string, string) {
	var names, warnings []string
	for _, p := range live {
		names = append(names, p.Name)
		if p.Status.ObservedGeneration != p.Generation {
			return metav1.ConditionUnknown, v1alpha1.ReasonSyncing,
				fmt.Sprintf("ValidatingAdmissionPolicy %s is written; the API server's control plane has yet to say that it has seen it", p.Name)
		}
		if p.Status.TypeChecking == nil {
			continue
		}
		for _, warning := range p.Status.TypeChecking.ExpressionWarnings {
			warnings = append(warnings, warning.FieldRef+": "+strings.Join(strings.Fields(warning.Warning), " "))
		}
	}
	message := "ValidatingAdmissionPolicy " + strings.Join(names, ", ")
	if len(warnings) > 0 {
		slices.Sort(warnings)
		message += "; types may not fit: " + strings.Join(slices.Compact(warnings), "; ")
	}
	return metav1.ConditionTrue, v1alpha1.ReasonSucceeded, message
}

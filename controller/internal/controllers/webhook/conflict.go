package webhook

import (
	"errors"
	"fmt"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/gate"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
)

const (
	// maxNamed is how many entries a command names, and maxWhy how many bytes there are of
	// what is in the way: a message is cut at 1 KiB, and half a command helps nobody.
	maxNamed = 3
	maxWhy   = 400
)

// conflict says what is in the way, and how what it is in the way of is written anew.
func (r *Reconciler) conflict(why string, entries sets.Set[string]) *policy.Refusal {
	r.Metrics.Conflicts.WithLabelValues("ValidatingWebhookConfiguration").Inc()
	if len(why) > maxWhy {
		why = strings.ToValidUTF8(why[:maxWhy], "") + "..."
	}
	return &policy.Refusal{Reason: v1alpha1.ReasonConflict, Message: fmt.Sprintf(
		"ValidatingWebhookConfiguration %s is not what the rules say: %s. %s", gate.ConfigurationName, why, mending(entries))}
}

// mending is how entries are written anew, or the owner where none of them is in the way. What
// is taken out refuses nobody until a replica that leads has put it back.
func mending(entries sets.Set[string]) string {
	const anew, command = "To have it written anew", "kubectl patch validatingwebhookconfiguration " + gate.ConfigurationName
	switch {
	case len(entries) == 0:
		return anew + ": " + command + ` --type=merge -p '{"metadata":{"ownerReferences":null}}'`
	case len(entries) > maxNamed:
		return anew + ", with all rules of the webhook open until a replica leads: " + command + ` --type=merge -p '{"webhooks":[]}'`
	}
	var out []string
	for _, name := range sets.List(entries) {
		out = append(out, fmt.Sprintf(`{"$patch":"delete","name":%q}`, name))
	}
	return anew + ": " + command + ` -p '{"webhooks":[` + strings.Join(out, ",") + `]}'`
}

// conflicting are the entries that have fields of which an answer says that they are somebody
// else's.
func conflicting(err error) sets.Set[string] {
	out := sets.Set[string]{}
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) || answer.Status().Details == nil {
		return out
	}
	for _, cause := range answer.Status().Details.Causes {
		if rest, ok := strings.CutPrefix(cause.Field, `.webhooks[name="`); ok {
			name, _, _ := strings.Cut(rest, `"`)
			out.Insert(name)
		}
	}
	return out
}

// differing are the entries that are not as they should be.
func differing(now, want *admissionregistrationv1.ValidatingWebhookConfiguration) sets.Set[string] {
	out := sets.Set[string]{}
	for i := range now.Webhooks {
		j := indexOf(want.Webhooks, now.Webhooks[i].Name)
		if j < 0 || !equality.Semantic.DeepEqual(now.Webhooks[i], want.Webhooks[j]) {
			out.Insert(now.Webhooks[i].Name)
		}
	}
	return out
}

package policy

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// Settling is how long, of policies and the webhook, the one that enforced a rule goes on
// after the other was seen to: an API server looks at policies once a second, there may be
// several, and every replica loads rules by itself.
const Settling = 5 * time.Second

// Lasting is how long an API server may refuse something, or not serve it, before that is
// taken for what it says: longer than one takes to start, which knows no roles and no kinds
// at first.
const Lasting = time.Minute

// Report is what is known of the enforcement of one generation of a rule.
type Report struct {
	UID        types.UID
	Generation int64

	// Enforcement is empty where the rule is suspended or does not compile.
	Enforcement v1alpha1.Enforcement
	// Enforced, Reason and Message are those of the condition. Without a status
	// the rule has none.
	Enforced        metav1.ConditionStatus
	Reason, Message string
	// Nothing says that the webhook has nothing to judge by this generation, as all that it
	// matches is on the recovery path or is not served. ReasonKindNotFound alone may be about
	// what the rule refers to.
	Nothing bool
}

// InPlace says whether what enforced a former generation may go: this one is enforced, or
// there is nothing that it could be enforced on.
func (r *Report) InPlace() bool {
	return r.Nothing || InPlace(r.Enforcement, r.Enforced, r.Reason)
}

// InPlace says of a generation of a rule, by what its status says, whether it is enforced, or by
// policies that judge nothing as nothing is served that they match.
func InPlace(by v1alpha1.Enforcement, enforced metav1.ConditionStatus, reason string) bool {
	return enforced == metav1.ConditionTrue || by == v1alpha1.EnforcementInProcess && reason == v1alpha1.ReasonKindNotFound
}

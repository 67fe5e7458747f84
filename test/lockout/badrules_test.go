package lockout_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/replicas"
)

// loops runs into the limit of its cost: it is true of ten numbers, each with each other, a
// million times.
var loops = strings.Repeat("[0,1,2,3,4,5,6,7,8,9].all(x, ", 6) + "x >= 0" + strings.Repeat(")", 6)

// TestBadRules has the worst that can be written. Each hurts what it is about, and
// nothing else.
func TestBadRules(t *testing.T) {
	t.Parallel()
	e := start(t, replicas.Options{})
	serviceAccounts := func(name string) *builders.ClusterRuleBuilder {
		return builders.MakeClusterRule(name).Modes(v1alpha1.ModeAdmission).FailurePolicy(admissionregistrationv1.Fail).Match("", "v1", "serviceaccounts")
	}
	budgets := func(name string) *builders.ClusterRuleBuilder {
		return serviceAccounts(name).Refer("budgets", "policy/v1", "PodDisruptionBudget")
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: guarded, Name: "an-account"}}
	for name, tc := range map[string]struct {
		rule *builders.ClusterRuleBuilder
		why  string
	}{
		"an expression that fails, in the API server": {serviceAccounts("fails-in-process").Validate("object.metadata.labels['none'] == 'x'", "never"), "no such key"},
		"an expression that fails, in the webhook":    {budgets("fails-in-webhook").Validate("refs.budgets[42].metadata.name == 'x'", "never"), "index out of bounds: 42"},
		"a loop to the cost limit, in the API server": {serviceAccounts("loops-in-process").Validate(loops, "never"), "cost"},
		"a loop to the cost limit, in the webhook":    {budgets("loops-in-webhook").Validate("refs.budgets.size() > 0 && "+loops, "never"), "out of cost budget"},
	} {
		t.Run(name, func(t *testing.T) { e.bad(t, tc.rule.Obj(), account, tc.why) })
	}
	t.Run("a rule that matches everything, in the API server", func(t *testing.T) { e.matchesEverything(t, false) })
	t.Run("a rule that matches everything, in the webhook", func(t *testing.T) { e.matchesEverything(t, true) })
}

// bad: what the rule is about is refused, and says by which rule and why; the other rules
// are in force, what conforms to them is admitted, and no replica panics.
func (e *env) bad(t *testing.T, rule *v1alpha1.ClusterRule, about client.Object, why string) {
	t.Helper()
	e.create(t, rule)
	try := func(ctx context.Context) error {
		return e.client.Create(ctx, about.DeepCopyObject().(client.Object), client.DryRunAll)
	}
	eventually(t, "the rule is in force", func(ctx context.Context) error {
		err := try(ctx)
		if refusal := refusedBy(err, rule.Name); refusal != nil {
			return refusal
		}
		if !strings.Contains(err.Error(), why) {
			return fmt.Errorf("refused for another reason than %q: %w", why, err)
		}
		return nil
	})
	e.holds(t, expected{})
	if err := e.client.Delete(t.Context(), rule); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what it was about is admitted", try)
	e.inForce(t)
	for _, r := range e.replicas.Running() {
		if log := r.Tail(); strings.Contains(log, "panic") {
			t.Errorf("%s panicked:\n%s", r.Pod(), log)
		}
	}
}

// matchesEverything denies whatever there is, on every operation.
func (e *env) matchesEverything(t *testing.T, webhook bool) {
	t.Helper()
	worst := builders.MakeClusterRule(everything).Modes(v1alpha1.ModeAdmission).FailurePolicy(admissionregistrationv1.Fail).
		Match("*", "*", "*/*").Operations(admissionregistrationv1.OperationAll)
	if webhook {
		worst = worst.Refer("budgets", "policy/v1", "PodDisruptionBudget").Validate("refs.budgets.size() < 0", "nothing is allowed")
	} else {
		worst = worst.Validate("false", "nothing is allowed")
	}
	rule := worst.Obj()
	e.create(t, rule)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: guarded, Name: "an-account"}}
	// The last one is what no entry was about before.
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: guarded, Name: "a-secret"}}
	eventually(t, "the rule is in force", func(ctx context.Context) error {
		return errors.Join(
			refusedBy(e.client.Create(ctx, account.DeepCopy(), client.DryRunAll), rule.Name),
			refusedBy(e.client.Create(ctx, secret, client.DryRunAll), rule.Name))
	})
	e.holds(t, expected{everything: true})
	if webhook {
		if err := e.replicas.Kill(); err != nil {
			t.Fatal(err)
		}
		e.holds(t, expected{everything: true, unserved: true})
		// It says so to people too: nobody but who recovers gets past.
		role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "by-hand"}}
		if err := e.client.Create(t.Context(), role, client.DryRunAll); err != nil {
			t.Errorf("an administrator cannot make a ClusterRole: %v", err)
		}
		e.run(t, "recovers-0", "recovers-1")
	}
	if err := e.client.Delete(t.Context(), rule); err != nil {
		t.Fatalf("the rule keeps itself from being deleted: %v", err)
	}
	eventually(t, "everything is admitted again", func(ctx context.Context) error {
		return e.client.Create(ctx, account.DeepCopy(), client.DryRunAll)
	})
	e.inForce(t)
}

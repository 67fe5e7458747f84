package manager_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/builders"
)

const (
	admission = v1alpha1.ModeAdmission
	audit     = v1alpha1.ModeAudit

	// takeUp is how long an API server may take to judge by a policy that was
	// written: it looks for changes once a second.
	takeUp = 20 * time.Second
)

func enforcedIs(status metav1.ConditionStatus, reason string) func(*v1alpha1.RuleStatus) bool {
	return func(s *v1alpha1.RuleStatus) bool {
		c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionEnforced)
		return c != nil && c.Status == status && c.Reason == reason && c.ObservedGeneration == s.ObservedGeneration
	}
}

func enforcedMessage(s *v1alpha1.RuleStatus) string {
	if c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionEnforced); c != nil {
		return c.Message
	}
	return ""
}

// as is a client of somebody else.
func (e *env) as(t *testing.T, user string, groups ...string) client.Client {
	t.Helper()
	cfg, err := e.ConfigFor(user, groups...)
	if err != nil {
		t.Fatal(err)
	}
	return e.clientOf(t, cfg)
}

func (e *env) clientOf(t *testing.T, cfg *rest.Config) client.Client {
	t.Helper()
	cfg.QPS = -1
	c, err := client.New(cfg, client.Options{Scheme: e.client.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func configMap(namespace, name string, keys ...string) *corev1.ConfigMap {
	obj := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: map[string]string{}}
	for _, key := range keys {
		obj.Data[key] = "x"
	}
	return obj
}

// tries has a request made without effect.
func tries(ctx context.Context, c client.Client, obj client.Object) error {
	return c.Create(ctx, obj.DeepCopyObject().(client.Object), client.DryRunAll)
}

// denied waits until a request is refused, and returns what is said.
func denied(t *testing.T, c client.Client, obj client.Object) string {
	t.Helper()
	said := ""
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		err := tries(ctx, c, obj)
		if err != nil {
			said = err.Error()
		}
		return err != nil && strings.Contains(said, "ValidatingAdmissionPolicy"), fmt.Sprint(err)
	})
	return said
}

// admitted waits until a request is not refused.
func admitted(t *testing.T, c client.Client, obj client.Object) {
	t.Helper()
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		err := tries(ctx, c, obj)
		return err == nil, fmt.Sprint(err)
	})
}

// noBad is a rule about ConfigMaps of one test.
func noBad(t *testing.T, name string) *builders.ClusterRuleBuilder {
	t.Helper()
	return inTest(t, name).Modes(admission).Match("", "v1", "configmaps").
		Validate("!('bad' in object.?data.orValue({}))", "bad is not allowed")
}

// gone waits until there are no policies and bindings of these names.
func gone(t *testing.T, e *env, names ...string) {
	t.Helper()
	policiesGone(t, e, names...)
	for _, name := range names {
		notFound(t, e, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
}

func policiesGone(t *testing.T, e *env, names ...string) {
	t.Helper()
	for _, name := range names {
		notFound(t, e, &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
}

// notFound waits until an object is gone, which may be the garbage collector's to
// do: it looks for new kinds every 30 s.
func notFound(t *testing.T, e *env, obj client.Object) {
	t.Helper()
	eventually(t, 90*time.Second, func(ctx context.Context) (bool, string) {
		_, err := get(ctx, e, obj)
		return apierrors.IsNotFound(err), fmt.Sprintf("%T %s: %v", obj, obj.GetName(), err)
	})
}

func TestDenialNamesTheRuleAndEndsWithIt(t *testing.T) {
	t.Parallel()
	ns := testNamespace(t, "deny")
	r := noBad(t, "deny").MessageExpression("object.metadata.name + ' is bad // indeed' // a comment").Reason(metav1.StatusReasonForbidden).Obj()
	shared.create(t, r)
	status := ruleStatus(t, shared, r, enforcedIs(metav1.ConditionTrue, v1alpha1.ReasonSucceeded))
	if status.Enforcement != v1alpha1.EnforcementInProcess || status.Summary != nil || !readyIs(metav1.ConditionTrue, v1alpha1.ReasonSucceeded)(status) {
		t.Errorf("status %+v, want a rule that is enforced in the API server and not audited", status)
	}

	said := denied(t, shared.client, configMap(ns, "a", "bad"))
	for _, want := range []string{"ClusterRule deny: a is bad // indeed (kubectl describe clusterrule deny)", "is forbidden"} {
		if !strings.Contains(said, want) {
			t.Errorf("said %q, want it to contain %q", said, want)
		}
	}
	if err := tries(t.Context(), shared.client, configMap(ns, "a", "good")); err != nil {
		t.Errorf("what the rule holds for is refused: %v", err)
	}
	if err := tries(t.Context(), shared.client, configMap(shared.namespace(t, nil), "a", "bad")); err != nil {
		t.Errorf("what the rule is not about is refused: %v", err)
	}
	eventually(t, 10*time.Second, func(ctx context.Context) (bool, string) {
		var events eventsv1.EventList
		if err := shared.client.List(ctx, &events); err != nil {
			return false, err.Error()
		}
		for i := range events.Items {
			if e := &events.Items[i]; e.Reason == "Enforced" && e.Regarding.Name == r.Name {
				return true, ""
			}
		}
		return false, "no event"
	})

	edit(t, shared, r, func(r *v1alpha1.ClusterRule) { r.Spec.Suspend = true })
	ruleStatus(t, shared, r, enforcedIs(metav1.ConditionFalse, v1alpha1.ReasonSuspended))
	gone(t, shared, "mainstay-cr-deny", "mainstay-recovery-cr-deny")
	admitted(t, shared.client, configMap(ns, "a", "bad"))

	edit(t, shared, r, func(r *v1alpha1.ClusterRule) { r.Spec.Suspend = false })
	denied(t, shared.client, configMap(ns, "a", "bad"))

	edit(t, shared, r, func(r *v1alpha1.ClusterRule) { r.Spec.Validations[0].Expression = "nonsense" })
	ruleStatus(t, shared, r, enforcedIs(metav1.ConditionFalse, v1alpha1.ReasonInvalidExpression))
	if err := tries(t.Context(), shared.client, configMap(ns, "a", "bad")); err == nil {
		t.Error("an edit that does not compile opened the gate")
	}

	edit(t, shared, r, func(r *v1alpha1.ClusterRule) {
		r.Spec.Modes = []v1alpha1.Mode{audit}
		r.Spec.Validations[0].Expression = "true"
	})
	status = ruleStatus(t, shared, r, func(s *v1alpha1.RuleStatus) bool { return s.Enforcement == v1alpha1.EnforcementAuditOnly })
	if meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionEnforced) != nil {
		t.Errorf("a rule that is audited only says whether it is enforced: %+v", status.Conditions)
	}
	gone(t, shared, "mainstay-cr-deny", "mainstay-recovery-cr-deny")

	edit(t, shared, r, func(r *v1alpha1.ClusterRule) {
		r.Spec.Modes = []v1alpha1.Mode{admission}
		r.Spec.Validations[0].Expression = "false"
	})
	denied(t, shared.client, configMap(ns, "a", "bad"))
	if err := shared.client.Delete(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	gone(t, shared, "mainstay-cr-deny", "mainstay-recovery-cr-deny")
	admitted(t, shared.client, configMap(ns, "a", "bad"))
}

func TestExceptionAdmitsUntilItExpires(t *testing.T) {
	t.Parallel()
	ns := testNamespace(t, "except")
	// A time in an object has whole seconds.
	until := time.Now().Add(12 * time.Second).Truncate(time.Second)
	r := noBad(t, "except").Except(ns, "known", "legacy").Until(until).Except(ns, "always", "legacy").Obj()
	shared.create(t, r)
	denied(t, shared.client, configMap(ns, "other", "bad"))
	if err := tries(t.Context(), shared.client, configMap(ns, "known", "bad")); err != nil {
		t.Errorf("an exception is refused %s before it lapses: %v", time.Until(until), err)
	}
	generated := configMap(ns, "", "bad")
	generated.GenerateName = "known"
	if err := tries(t.Context(), shared.client, generated); err == nil || !strings.Contains(err.Error(), "bad is not allowed") {
		t.Errorf("an object whose name is yet to be generated: %v, want it judged", err)
	}
	denied(t, shared.client, configMap(ns, "known", "bad"))
	if left := time.Until(until); left > 0 {
		t.Errorf("the exception lapsed %s early", left)
	}
	if err := tries(t.Context(), shared.client, configMap(ns, "always", "bad")); err != nil {
		t.Errorf("an exception without an end lapsed too: %v", err)
	}
}

// TestMostOfEverything has as much as a rule may have: the API server takes it.
func TestMostOfEverything(t *testing.T) {
	t.Parallel()
	ns := testNamespace(t, "most")
	b := noBad(t, "most")
	for i := range 256 {
		b.Except(strings.Repeat("n", 63), fmt.Sprintf("%s%03d", strings.Repeat("a", 250), i), "legacy")
	}
	for i := range 62 {
		b.Condition(fmt.Sprintf("c%d", i), "object != null")
	}
	r := b.Obj()
	shared.create(t, r)
	ruleStatus(t, shared, r, enforcedIs(metav1.ConditionTrue, v1alpha1.ReasonSucceeded))
	denied(t, shared.client, configMap(ns, "a", "bad"))
	if err := tries(t.Context(), shared.client, configMap(ns, "a", "good")); err != nil {
		t.Errorf("what the rule holds for is refused: %v", err)
	}
}

func TestDriftIsRepairedAndConflictReported(t *testing.T) {
	t.Parallel()
	ns := testNamespace(t, "drift")
	r := noBad(t, "drift").Condition("c", "object.metadata.name != 'spared'").Obj()
	shared.create(t, r)
	denied(t, shared.client, configMap(ns, "a", "bad"))
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "mainstay-cr-drift"}}
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "mainstay-cr-drift"}}
	back := func(obj client.Object) {
		t.Helper()
		before := obj.GetUID()
		eventually(t, takeUp, func(ctx context.Context) (bool, string) {
			obj, err := get(ctx, shared, obj)
			return err == nil && obj.GetUID() != before, fmt.Sprint(err)
		})
	}
	for _, obj := range []client.Object{binding, policy} {
		if _, err := get(t.Context(), shared, obj); err != nil {
			t.Fatal(err)
		}
		if err := shared.client.Delete(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
		back(obj)
	}
	edit(t, shared, policy, func(p *admissionregistrationv1.ValidatingAdmissionPolicy) {
		p.Spec.MatchConditions, p.Labels = nil, nil
	})
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		got, err := get(ctx, shared, &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "mainstay-cr-drift"}})
		return err == nil && len(got.Spec.MatchConditions) == 2 && got.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy, fmt.Sprintf("%v %v", got, err)
	})
	ruleStatus(t, shared, r, enforcedIs(metav1.ConditionTrue, v1alpha1.ReasonSucceeded))

	reported := func(obj client.Object, kind, want string) {
		t.Helper()
		status := ruleStatus(t, shared, r, enforcedIs(metav1.ConditionFalse, v1alpha1.ReasonConflict))
		for _, want := range []string{want, kind + " mainstay-cr-drift is not what the rule says", "kubectl delete " + strings.ToLower(kind) + " mainstay-cr-drift"} {
			if message := enforcedMessage(status); !strings.Contains(message, want) {
				t.Errorf("message %q, want it to contain %q", message, want)
			}
		}
		if _, err := get(t.Context(), shared, obj); err != nil {
			t.Fatal(err)
		}
		if err := shared.client.Delete(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
		back(obj)
		ruleStatus(t, shared, r, enforcedIs(metav1.ConditionTrue, v1alpha1.ReasonSucceeded))
	}
	edit(t, shared, policy, func(p *admissionregistrationv1.ValidatingAdmissionPolicy) {
		p.Spec.FailurePolicy = new(admissionregistrationv1.Ignore)
	})
	reported(policy, "ValidatingAdmissionPolicy", ".spec.failurePolicy")
	// What others add is not in the way of an apply, and is no part of the rule.
	edit(t, shared, binding, func(b *admissionregistrationv1.ValidatingAdmissionPolicyBinding) {
		b.Spec.MatchResources = &admissionregistrationv1.MatchResources{ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}}
	})
	reported(binding, "ValidatingAdmissionPolicyBinding", "it also has what was set by \"")
}

func TestNamespacedRuleEnforcesInItsNamespaceOnly(t *testing.T) {
	t.Parallel()
	mine, other := testNamespace(t, "mine"), testNamespace(t, "mine")
	r := builders.MakeRule(mine, "nothing").Modes(admission).Match("*", "*", "*").
		Operations(admissionregistrationv1.Create).Validate("false", "nothing new").Obj()
	shared.create(t, r)
	ruleStatus(t, shared, r, enforcedIs(metav1.ConditionTrue, v1alpha1.ReasonSucceeded))
	said := denied(t, shared.client, configMap(mine, "a"))
	if want := "Rule " + mine + "/nothing: nothing new (kubectl -n " + mine + " describe mrule nothing)"; !strings.Contains(said, want) {
		t.Errorf("said %q, want it to contain %q", said, want)
	}
	for name, obj := range map[string]client.Object{
		"another namespace": configMap(other, "a"),
		"a namespace":       &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "confined-new", Labels: map[string]string{corev1.LabelMetadataName: mine}}},
		"a volume": &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "confined"}, Spec: corev1.PersistentVolumeSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/tmp"}},
		}},
	} {
		if err := tries(t.Context(), shared.client, obj); err != nil {
			t.Errorf("%s is refused: %v", name, err)
		}
	}
	names := []string{"mainstay-r-" + mine + ".nothing", "mainstay-recovery-r-" + mine + ".nothing"}
	if err := shared.client.Delete(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	gone(t, shared, names...)
	admitted(t, shared.client, configMap(mine, "a"))
}

func TestWhatTheAPIServerCannotEnforce(t *testing.T) {
	t.Parallel()
	ns := testNamespace(t, "cannot")
	shared.create(t, builders.MakeDeployment(ns, "web").Obj())
	needs := inTest(t, "cannot").Modes(admission, audit).Match("apps", "v1", "deployments").
		Refer("pdbs", "policy/v1", "PodDisruptionBudget", v1alpha1.NamespacesSame).Validate("refs.pdbs.size() > 0", "no budget").Obj()
	rejected := inTest(t, "cannot-rejected").Modes(admission).Match("apps", "v1", "deployments").
		Validate("true", "").MessageExpression("authorizer.requestResource.check('x').allowed() ? 'a' : 'b'").Obj()
	untyped := inTest(t, "cannot-untyped").Modes(admission).Match("apps", "v1", "deployments").Validate("object.spec.replicas != 'a'", "").Obj()
	shared.create(t, needs, rejected, untyped)

	status := ruleStatus(t, shared, needs, func(s *v1alpha1.RuleStatus) bool {
		return counts(0, 1, 0, 0)(s) && enforcedIs(metav1.ConditionFalse, v1alpha1.ReasonNeedsWebhook)(s)
	})
	if want := "the API server cannot evaluate refs.pdbs"; !strings.Contains(enforcedMessage(status), want) || status.Enforcement != v1alpha1.EnforcementWebhook {
		t.Errorf("enforcement %s, message %q, want %q", status.Enforcement, enforcedMessage(status), want)
	}

	status = ruleStatus(t, shared, rejected, enforcedIs(metav1.ConditionFalse, v1alpha1.ReasonRejected))
	if want := "undeclared reference to 'authorizer'"; !strings.Contains(enforcedMessage(status), want) {
		t.Errorf("message %q, want what the API server says: %q", enforcedMessage(status), want)
	}
	status = ruleStatus(t, shared, untyped, enforcedIs(metav1.ConditionTrue, v1alpha1.ReasonSucceeded))
	if want := "types may not fit: spec.validations[0].expression: apps/v1, Kind=Deployment"; !strings.Contains(enforcedMessage(status), want) {
		t.Errorf("message %q, want what the type check says: %q", enforcedMessage(status), want)
	}
}

// A request to delete a collection names no object, and is judged for each.
func TestExceptionHoldsForCollections(t *testing.T) {
	t.Parallel()
	ns := testNamespace(t, "collection")
	for _, name := range []string{"other", "kept"} {
		if err := shared.client.Create(t.Context(), configMap(ns, name)); err != nil {
			t.Fatal(err)
		}
	}
	shared.create(t, inTest(t, "collection").Modes(admission).Match("", "v1", "configmaps").Operations(admissionregistrationv1.Delete).
		Validate("false", "nothing is deleted").Except(ns, "kept", "may go").Obj())
	all := func(ctx context.Context, name string, opts ...client.DeleteAllOfOption) error {
		return shared.client.DeleteAllOf(ctx, &corev1.ConfigMap{}, append(opts, client.InNamespace(ns), client.MatchingFields{"metadata.name": name})...)
	}
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		err := all(ctx, "other", client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), "nothing is deleted"), fmt.Sprint(err)
	})
	if err := all(t.Context(), "kept"); err != nil {
		t.Error(err)
	}
}

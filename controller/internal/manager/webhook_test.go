package manager_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/gate"
	"github.com/mainstay-dev/mainstay/controller/internal/manager"
	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/cluster"
)

// withWebhook are the options of a replica that API servers reach at a loopback
// address.
func withWebhook(t *testing.T, podName string) manager.Options {
	t.Helper()
	address := freePort(t)
	opts := options(podName)
	opts.WebhookAddr, opts.WebhookURL = address, "https://"+address
	return opts
}

// hasBudget asks for a PodDisruptionBudget that selects the pods of a Deployment of
// several replicas.
func hasBudget(name string) *builders.ClusterRuleBuilder {
	return builders.MakeClusterRule(name).Modes(admission).
		Match("apps", "v1", "deployments").
		Refer("budgets", "policy/v1", "PodDisruptionBudget").
		Validate("object.spec.?replicas.orValue(1) < 2 || refs.budgets.exists(b, selectorMatches(b.spec.selector, object.spec.template.metadata.labels))",
			"a budget is missing")
}

func budgetFor(namespace, app string) *policyv1.PodDisruptionBudget {
	one := intstr.FromInt32(1)
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: app},
		Spec:       policyv1.PodDisruptionBudgetSpec{MaxUnavailable: &one, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}},
	}
}

func configuration(ctx context.Context, e *env) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	return get(ctx, e, &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: gate.ConfigurationName}})
}

// entries are the names of the webhooks that a rule is enforced through.
func entries(config *admissionregistrationv1.ValidatingWebhookConfiguration) []string {
	var names []string
	for i := range config.Webhooks {
		if name := config.Webhooks[i].Name; name != gate.OpenEntry {
			names = append(names, name)
		}
	}
	return names
}

func (e *env) enforced(t *testing.T, rule *v1alpha1.ClusterRule, status metav1.ConditionStatus, reason string) {
	t.Helper()
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		got, err := get(ctx, e, rule)
		if err != nil {
			return false, err.Error()
		}
		return enforcedIs(status, reason)(&got.Status), fmt.Sprint(got.Status.Conditions)
	})
}

// A rule that refers to other objects is enforced by the webhook: on what it
// refers to as it is now, and through every door.
func TestWebhookEnforcesRulesWithReferences(t *testing.T) {
	t.Parallel()
	e := ownCluster(t, cluster.Options{Out: t.Output()})
	namespace, jane := e.namespace(t, nil), e.administrator(t, "jane")
	rule := hasBudget("has-budget").Obj()
	scales := builders.MakeClusterRule("scales-up-to-three").Modes(admission).
		Match("apps", "v1", "deployments/scale").
		Refer("all", "apps/v1", "Deployment").
		Validate("refs.all.map(d, d.spec.replicas).sum() <= 3", "").
		MessageExpression("'there would be ' + string(refs.all.map(d, d.spec.replicas).sum()) + ' replicas'").Obj()
	keeps := builders.MakeClusterRule("keeps-budget").Modes(admission).
		Match("policy", "v1", "poddisruptionbudgets").Operations(admissionregistrationv1.Delete).
		Refer("deployments", "apps/v1", "Deployment").
		Validate("!refs.deployments.exists(d, d.spec.replicas > 1 && selectorMatches(oldObject.spec.selector, d.spec.template.metadata.labels))", "it is in use").Obj()
	conditional := builders.MakeClusterRule("conditional").Modes(admission).
		Match("", "v1", "limitranges").Condition("ours", "object.metadata.labels.team == 'a'").
		Refer("all", "apps/v1", "Deployment").Validate("refs.all.size() >= 0", "").Obj()
	e.create(t, rule, scales, keeps, conditional)
	e.startReplica(t, withWebhook(t, "judge"))
	for _, one := range []*v1alpha1.ClusterRule{rule, scales, keeps, conditional} {
		e.enforced(t, one, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	}
	deployment := func(name string, replicas int32) *appsv1.Deployment {
		return builders.MakeDeployment(namespace, name).Label("app", name).Replicas(replicas).Obj()
	}

	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		err := tries(ctx, jane, &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "unlabelled"}})
		return err != nil && strings.Contains(err.Error(), "// Mainstay, webhook fail-") && strings.Contains(err.Error(), "no such key: labels"), fmt.Sprint(err)
	})

	var refusal error
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		refusal = tries(ctx, jane, deployment("web", 2))
		return refusal != nil, "admitted"
	})
	for _, want := range []string{"ClusterRule has-budget: a budget is missing", "kubectl describe clusterrule has-budget"} {
		if !strings.Contains(refusal.Error(), want) || !apierrors.IsInvalid(refusal) {
			t.Errorf("%v (%s): want it invalid, with %q", refusal, apierrors.ReasonForError(refusal), want)
		}
	}
	if err := tries(t.Context(), jane, deployment("web", 1)); err != nil {
		t.Errorf("one replica: %v", err)
	}
	pdb := budgetFor(namespace, "web")
	e.create(t, pdb)
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		err := tries(ctx, jane, deployment("web", 2))
		return err == nil, fmt.Sprint(err)
	})

	// The object of a scale has none of what the rule counts: the cache has.
	web := deployment("web", 2)
	e.create(t, web)
	scale := func(replicas int32) error {
		return jane.SubResource("scale").Update(t.Context(), web.DeepCopy(), client.WithSubResourceBody(&autoscalingv1.Scale{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"}, Spec: autoscalingv1.ScaleSpec{Replicas: replicas},
		}))
	}
	eventually(t, takeUp, func(context.Context) (bool, string) {
		err := scale(4)
		return err != nil && strings.Contains(err.Error(), "there would be 4 replicas"), fmt.Sprint(err)
	})
	if err := scale(3); err != nil {
		t.Errorf("scale to 3: %v", err)
	}
	err := jane.Delete(t.Context(), pdb.DeepCopy(), client.DryRunAll)
	if err == nil || !strings.Contains(err.Error(), "it is in use") {
		t.Errorf("the budget that is in use may be deleted: %v", err)
	}
	// What a cluster recovers by waits for nobody.
	flux := builders.MakeDeployment("kube-system", "unbudgeted").Label("app", "unbudgeted").Replicas(2).Obj()
	if err := tries(t.Context(), jane, flux); err != nil {
		t.Errorf("in kube-system: %v", err)
	}
	// An API server leaves a zero out of the Scale.
	if err := scale(0); err != nil {
		t.Errorf("scale to 0: %v", err)
	}
}

// The configuration is filled and never made, and everybody who may open the gate
// can.
func TestWebhookConfigurationIsFilledNotMade(t *testing.T) {
	t.Parallel()
	e := ownCluster(t, cluster.Options{Out: t.Output()})
	namespace, jane := e.namespace(t, nil), e.administrator(t, "jane")
	rule := hasBudget("has-budget").Obj()
	e.create(t, rule)
	opts := withWebhook(t, "judge")
	replica := e.startReplica(t, opts)
	e.enforced(t, rule, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	web := builders.MakeDeployment(namespace, "web").Label("app", "web").Replicas(2).Obj()
	denied := func(want bool) {
		t.Helper()
		eventually(t, takeUp, func(ctx context.Context) (bool, string) {
			err := tries(ctx, jane, web)
			return (err != nil) == want, fmt.Sprint(err)
		})
	}
	denied(true)

	config, err := configuration(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	var owner corev1.Namespace
	if err := e.client.Get(t.Context(), client.ObjectKey{Name: ownNamespace}, &owner); err != nil {
		t.Fatal(err)
	}
	if len(config.OwnerReferences) != 1 || config.OwnerReferences[0].UID != owner.UID {
		t.Errorf("owners %v, want the Namespace %s", config.OwnerReferences, owner.UID)
	}
	for i := range config.Webhooks {
		if len(config.Webhooks[i].ClientConfig.CABundle) == 0 {
			t.Errorf("%s trusts nobody in particular", config.Webhooks[i].Name)
		}
	}

	// Drift.
	edit(t, e, config, func(c *admissionregistrationv1.ValidatingWebhookConfiguration) { c.Webhooks = nil })
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		config, err := configuration(ctx, e)
		return err == nil && len(entries(config)) == 1, fmt.Sprint(err)
	})

	e.namesWhatMends(t)
	e.enforced(t, rule, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)

	// A slip in an edit opens nothing. It gets past the compiler at apply, which fails
	// open, while that is not asked.
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		config, err := configuration(ctx, e)
		if err != nil {
			return false, err.Error()
		}
		config.Webhooks = slices.DeleteFunc(config.Webhooks, func(w admissionregistrationv1.ValidatingWebhook) bool { return w.Name == gate.OpenEntry })
		if err := e.client.Update(ctx, config); err != nil {
			return false, err.Error()
		}
		got, err := get(ctx, e, rule)
		if err != nil {
			return false, err.Error()
		}
		got.Spec.Validations[0].Expression = "object.spec."
		err = e.client.Update(ctx, got)
		return err == nil, fmt.Sprint(err)
	})
	e.enforced(t, rule, metav1.ConditionFalse, v1alpha1.ReasonInvalidExpression)
	if err := tries(t.Context(), jane, web); err == nil || !strings.Contains(err.Error(), "a budget is missing") {
		t.Errorf("after a slip in an edit: %v", err)
	}
	mended := hasBudget("has-budget").Obj()
	edit(t, e, rule, func(r *v1alpha1.ClusterRule) { r.Spec.Validations = mended.Spec.Validations })
	e.enforced(t, rule, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)

	// Unlock, with and without a replica.
	clientset, err := kubernetes.NewForConfig(e.Config())
	if err != nil {
		t.Fatal(err)
	}
	if err := gate.Open(t.Context(), clientset, gate.Opening{Namespace: ownNamespace, Reason: "INC-4711", Out: t.Output()}); err != nil {
		t.Fatal(err)
	}
	denied(false)
	e.enforced(t, rule, metav1.ConditionFalse, v1alpha1.ReasonUnlocked)
	if err := gate.Close(t.Context(), clientset, ownNamespace, t.Output()); err != nil {
		t.Fatal(err)
	}
	denied(true)

	// Deleted, it stays deleted, and the rule says so.
	if err := e.client.Delete(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	e.enforced(t, rule, metav1.ConditionFalse, v1alpha1.ReasonNoWebhook)
	denied(false)
	e.apply(t, "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata:\n  name: mainstay\n")
	denied(true)
	e.enforced(t, rule, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)

	// Nobody answers: refused, and not waved through.
	replica.stop()
	<-replica.done
	err = tries(t.Context(), jane, web)
	if err == nil || !strings.Contains(err.Error(), "failed calling webhook") {
		t.Errorf("nobody judges: %v", err)
	}
	if err := gate.Open(t.Context(), clientset, gate.Opening{Namespace: ownNamespace, Reason: "INC-4711", Out: t.Output()}); err != nil {
		t.Fatal(err)
	}
	denied(false)

	// A rule goes, and its entry with it.
	if err := gate.Close(t.Context(), clientset, ownNamespace, t.Output()); err != nil {
		t.Fatal(err)
	}
	e.startReplica(t, withWebhook(t, "returns"))
	denied(true)
	if err := e.client.Delete(t.Context(), rule.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		config, err := configuration(ctx, e)
		return err == nil && len(entries(config)) == 0 && len(config.Webhooks) == 1, fmt.Sprint(err)
	})
	denied(false)
}

// namesWhatMends: what somebody else set is mended by the command in the message, which takes
// no other entry out.
func (e *env) namesWhatMends(t *testing.T) {
	t.Helper()
	ignores := hasBudget("ignores").FailurePolicy(admissionregistrationv1.Ignore).Obj()
	e.create(t, ignores)
	e.enforced(t, ignores, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	config, err := configuration(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	all, ofIgnores := entries(config), func(name string) bool { return strings.HasPrefix(name, "ignore-") }
	its := func(c *admissionregistrationv1.ValidatingWebhookConfiguration) *admissionregistrationv1.ValidatingWebhook {
		return &c.Webhooks[slices.IndexFunc(c.Webhooks, func(w admissionregistrationv1.ValidatingWebhook) bool { return ofIgnores(w.Name) })]
	}
	others := slices.DeleteFunc(slices.Clone(all), ofIgnores)
	for _, tc := range []struct {
		what   string
		change func(*admissionregistrationv1.ValidatingWebhookConfiguration)
		stay   []string
	}{
		{"a field of an entry", func(c *admissionregistrationv1.ValidatingWebhookConfiguration) { its(c).TimeoutSeconds = new(int32(7)) }, others},
		{"more in an entry", func(c *admissionregistrationv1.ValidatingWebhookConfiguration) {
			its(c).MatchConditions = append(its(c).MatchConditions, admissionregistrationv1.MatchCondition{Name: "more", Expression: "true"})
		}, others},
		{"the owner", func(c *admissionregistrationv1.ValidatingWebhookConfiguration) {
			c.OwnerReferences[0].BlockOwnerDeletion = new(true)
		}, all},
	} {
		edit(t, e, config, tc.change)
		e.enforced(t, ignores, metav1.ConditionFalse, v1alpha1.ReasonConflict)
		_, command, _ := strings.Cut(enforcedMessage(&ignores.Status), ": kubectl ")
		args := words(t, "kubectl "+command)
		left, err := e.Kubectl(t.Context(), append(args, "--dry-run=server", "-o", "jsonpath={.webhooks[*].name}")...)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.DeleteFunc(strings.Fields(left), func(name string) bool { return name == gate.OpenEntry }); !slices.Equal(got, tc.stay) {
			t.Errorf("%s: kubectl %s leaves %v, want %v", tc.what, command, got, tc.stay)
		}
		if _, err := e.Kubectl(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
		e.enforced(t, ignores, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	}
	if err := e.client.Delete(t.Context(), ignores.DeepCopy()); err != nil {
		t.Fatal(err)
	}
}

// A rule whose references cannot be read refuses nobody.
func TestWebhookRuleThatCannotBeJudgedHasNoEntry(t *testing.T) {
	t.Parallel()
	e := ownCluster(t, cluster.Options{Out: t.Output()})
	absent := builders.MakeClusterRule("absent").Modes(admission).Match("", "v1", "configmaps").
		Refer("widgets", "example.com/v1", "Widget").Validate("refs.widgets.size() > 0", "").Obj()
	forbidden := builders.MakeClusterRule("forbidden").Modes(admission).Match("", "v1", "configmaps").
		Refer("secrets", "v1", "Secret").Validate("refs.secrets.size() > 0", "").Obj()
	nothing := builders.MakeClusterRule("nothing").Modes(admission).Match("", "v1", "nodes").
		Refer("pods", "v1", "Pod", "All").Validate("refs.pods.size() > 0", "").Obj()
	e.create(t, absent, forbidden, nothing)
	e.startReplica(t, withWebhook(t, "judge"))
	e.enforced(t, absent, metav1.ConditionFalse, v1alpha1.ReasonKindNotFound)
	e.enforced(t, forbidden, metav1.ConditionFalse, v1alpha1.ReasonForbidden)
	e.enforced(t, nothing, metav1.ConditionFalse, v1alpha1.ReasonKindNotFound)
	config, err := configuration(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	if names := entries(config); len(names) > 0 {
		t.Errorf("entries %v, want none", names)
	}

	// At apply a mistake is an answer, with its place.
	mistaken := builders.MakeClusterRule("mistaken").Match("", "v1", "configmaps").Validate("object.metadata.name ==", "").Obj()
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		err := tries(ctx, e.client, mistaken)
		return err != nil && strings.Contains(err.Error(), "spec.validations[0].expression") && strings.Contains(err.Error(), "line 1"), fmt.Sprint(err)
	})
	// Flux would give up all that is beside it.
	flux := e.administrator(t, "system:serviceaccount:flux-system:kustomize-controller", "system:serviceaccounts:flux-system")
	if err := tries(t.Context(), flux, mistaken); err != nil {
		t.Errorf("Flux applies a bad rule: %v", err)
	}
}

// An edit that refers to what cannot be read leaves what was in force: it neither refuses
// everything nor opens the gate.
func TestWebhookEditThatCannotBeJudgedChangesNothing(t *testing.T) {
	t.Parallel()
	e := ownCluster(t, cluster.Options{Out: t.Output()})
	namespace, jane := e.namespace(t, nil), e.administrator(t, "jane")
	rule := hasBudget("has-budget").Obj()
	e.create(t, rule)
	e.startReplica(t, withWebhook(t, "judge"))
	e.enforced(t, rule, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	deployment := func(replicas int32) *appsv1.Deployment {
		return builders.MakeDeployment(namespace, "web").Label("app", "web").Replicas(replicas).Obj()
	}
	denied := func() {
		t.Helper()
		eventually(t, takeUp, func(ctx context.Context) (bool, string) {
			return refused(tries(ctx, jane, deployment(2)), "a budget is missing")
		})
	}
	denied()
	for reason, kind := range map[string]string{v1alpha1.ReasonKindNotFound: "Pdo", v1alpha1.ReasonForbidden: "Secret"} {
		edited := hasBudget("has-budget").Refer("others", "v1", kind).Validate("refs.others.size() > 99", "too few").Obj()
		edit(t, e, rule, func(r *v1alpha1.ClusterRule) { r.Spec = edited.Spec })
		e.enforced(t, rule, metav1.ConditionFalse, reason)
		denied()
		if err := tries(t.Context(), jane, deployment(1)); err != nil {
			t.Errorf("%s: what the former generation admits: %v", reason, err)
		}
	}
	edit(t, e, rule, func(r *v1alpha1.ClusterRule) {
		r.Spec = hasBudget("has-budget").Refer("others", "apps/v1", "Deployment").Validate("refs.others.size() > 99", "too few").Obj().Spec
	})
	e.enforced(t, rule, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		return refused(tries(ctx, jane, deployment(1)), "too few")
	})
}

// Without the webhook there is no entry, also where there was one.
func TestWebhookIsOff(t *testing.T) {
	t.Parallel()
	e := ownCluster(t, cluster.Options{Out: t.Output()})
	rule := hasBudget("has-budget").Obj()
	e.create(t, rule)
	replica := e.startReplica(t, withWebhook(t, "judge"))
	e.enforced(t, rule, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	replica.stop()
	<-replica.done
	e.startReplica(t, options("off"))
	e.enforced(t, rule, metav1.ConditionFalse, v1alpha1.ReasonNeedsWebhook)
	config, err := configuration(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	if len(config.Webhooks) > 0 {
		t.Errorf("entries %v, want none", slices.Collect(func(yield func(string) bool) {
			for i := range config.Webhooks {
				if !yield(config.Webhooks[i].Name) {
					return
				}
			}
		}))
	}
}

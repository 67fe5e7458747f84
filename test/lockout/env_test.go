package lockout_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/cluster"
	"github.com/mainstay-dev/mainstay/test/recovery"
	"github.com/mainstay-dev/mainstay/test/replicas"
)

const (
	// guarded is a namespace that is not on the recovery path, and bypassed one that has
	// the label by which nothing in it is judged.
	guarded, bypassed = "shop", "bypassed"
	// kept and budgeted are the names of the rules that are tried, and asked and warned of
	// those that must not be in anybody's way: the one is about everything there is but
	// Secrets and LimitRanges, and holds; the other one warns of each LimitRange.
	kept, budgeted = "no-bad-settings", "deployments-have-budgets"
	asked, warned  = "everything-is-asked-about", "limit-ranges-are-warned-of"
	// everything is the name of the rule that denies whatever there is.
	everything = "denies-everything"
	// configuration is the name of Mainstay's webhook configuration.
	configuration = "mainstay"

	// lease is how long a leader that is silent stays it, and retry how often others look.
	lease, retry = 6 * time.Second, 500 * time.Millisecond

	// within is how long anything may take to come about on a busy machine.
	within = 2 * time.Minute
)

// env is a control plane with the package on it, and replicas of Mainstay.
type env struct {
	*cluster.Cluster
	client   client.Client
	replicas *replicas.Set
	path     recovery.Path
	states   atomic.Int32
	walks    atomic.Int32
}

// start starts a control plane with its rules in force: one that the API server judges by
// itself, and those with references. Of opts it sets what all tests have in common.
func start(t *testing.T, opts replicas.Options) *env {
	t.Helper()
	c, err := cluster.Start(t.Context(), cluster.Options{Out: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	e := &env{Cluster: c, path: recovery.Path{
		Namespaces: []string{"kube-system", "flux-system", replicas.Namespace, "kube-public", "kube-node-lease"}, Guarded: guarded,
	}}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	cfg := c.Config()
	cfg.QPS = -1
	if e.client, err = client.New(cfg, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	e.install(t)
	for _, namespace := range []string{"flux-system", guarded} {
		e.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	}
	e.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: bypassed, Labels: map[string]string{v1alpha1.LabelBypass: "true"}}})
	definition := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(recovery.Definitions), &definition.Object); err != nil {
		t.Fatal(err)
	}
	e.create(t, definition, &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: guarded, Name: "budgeted"},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "budgeted"}}},
	})
	eventually(t, "the kinds are served", func(ctx context.Context) error { return e.path.Prepare(ctx, e.client) })

	opts.Cluster, opts.Program, opts.Webhook = c, program, true
	opts.Flags = append([]string{
		"--leader-election-lease-duration=" + lease.String(), "--leader-election-renew-deadline=5s",
		"--leader-election-retry-period=" + retry.String(), "--drain-time=3s",
	}, opts.Flags...)
	e.replicas, err = replicas.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.replicas.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			for _, r := range e.replicas.All() {
				t.Logf("the end of the log of %s:\n%s", r.Pod(), r.Tail())
			}
		}
	})
	e.run(t, "mainstay-0", "mainstay-1")
	e.rules(t)
	return e
}

// install applies the package without its Deployment.
func (e *env) install(t *testing.T) {
	t.Helper()
	if err := replicas.Install(t.Context(), e.Cluster); err != nil {
		t.Fatal(err)
	}
}

// run starts replicas and waits until the Front sends connections to them.
func (e *env) run(t *testing.T, pods ...string) {
	t.Helper()
	var started []*replicas.Replica
	for _, pod := range pods {
		r, err := e.replicas.Start(t.Context(), pod)
		if err != nil {
			t.Fatal(err)
		}
		started = append(started, r)
	}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for _, r := range started {
		if err := e.replicas.Ready(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
}

// rules creates them, and waits until they are in force.
func (e *env) rules(t *testing.T) {
	t.Helper()
	eventually(t, "the rules are there", func(ctx context.Context) error {
		var errs []error
		for _, rule := range []client.Object{keptRule(), budgetedRule(), askedRule(), warnedRule()} {
			errs = append(errs, client.IgnoreAlreadyExists(e.client.Create(ctx, rule)))
		}
		return errors.Join(errs...)
	})
	e.inForce(t)
}

func keptRule() *v1alpha1.ClusterRule {
	return builders.MakeClusterRule(kept).Modes(v1alpha1.ModeAdmission).FailurePolicy(admissionregistrationv1.Fail).
		Match("", "v1", "configmaps").Validate("!('bad' in object.?data.orValue({}))", "bad settings").Obj()
}

func budgetedRule() *v1alpha1.ClusterRule {
	return builders.MakeClusterRule(budgeted).Modes(v1alpha1.ModeAdmission).FailurePolicy(admissionregistrationv1.Fail).
		Match("apps", "v1", "deployments").Refer("budgets", "policy/v1", "PodDisruptionBudget").
		Validate("refs.budgets.exists(b, selectorMatches(b.spec.selector, object.spec.template.metadata.labels))", "no budget").Obj()
}

// askedRule has an entry for every kind: where nobody answers, whatever is not on the
// recovery path is refused.
func askedRule() *v1alpha1.ClusterRule {
	return builders.MakeClusterRule(asked).Modes(v1alpha1.ModeAdmission).FailurePolicy(admissionregistrationv1.Fail).
		Match("*", "*", "*/*").Operations(admissionregistrationv1.OperationAll).
		Exclude("", "v1", "secrets").Exclude("", "v1", "limitranges").
		Refer("budgets", "policy/v1", "PodDisruptionBudget").Validate("refs.budgets.size() >= 0", "there are as many as there are").Obj()
}

func warnedRule() *v1alpha1.ClusterRule {
	return builders.MakeClusterRule(warned).Modes(v1alpha1.ModeAdmission).FailurePolicy(admissionregistrationv1.Fail).
		Actions(admissionregistrationv1.Warn, admissionregistrationv1.Audit).Match("", "v1", "limitranges").
		Refer("budgets", "policy/v1", "PodDisruptionBudget").Validate("refs.budgets.size() < 0", "mind the budgets").Obj()
}

// inForce waits until all rules say that they are enforced, and are.
func (e *env) inForce(t *testing.T) {
	t.Helper()
	e.enforced(t, kept, budgeted, asked, warned)
	eventually(t, "the rules are in force, and serve", func(ctx context.Context) error {
		return errors.Join(
			refusedBy(e.client.Create(ctx, badSettings("probe"), client.DryRunAll), kept),
			refusedBy(e.client.Create(ctx, builders.MakeDeployment(guarded, "probe").Obj(), client.DryRunAll), budgeted),
			e.client.Create(ctx, builders.MakeDeployment(guarded, "budgeted").Obj(), client.DryRunAll))
	})
}

// enforced waits until rules say so.
func (e *env) enforced(t *testing.T, names ...string) {
	t.Helper()
	eventually(t, "rules are enforced", func(ctx context.Context) error {
		for _, name := range names {
			var rule v1alpha1.ClusterRule
			if err := e.client.Get(ctx, client.ObjectKey{Name: name}, &rule); err != nil {
				return err
			}
			said := meta.FindStatusCondition(rule.Status.Conditions, v1alpha1.ConditionEnforced)
			if said == nil || said.Status != metav1.ConditionTrue || said.ObservedGeneration != rule.Generation {
				return fmt.Errorf("%s: %+v", name, said)
			}
		}
		return nil
	})
}

func (e *env) create(t *testing.T, objs ...client.Object) {
	t.Helper()
	for _, obj := range objs {
		if err := e.client.Create(t.Context(), obj); err != nil {
			t.Fatalf("create %T %s: %v", obj, obj.GetName(), err)
		}
	}
}

// webhooks is the configuration as it is.
func (e *env) webhooks(t *testing.T) *admissionregistrationv1.ValidatingWebhookConfiguration {
	t.Helper()
	var out admissionregistrationv1.ValidatingWebhookConfiguration
	if err := e.client.Get(t.Context(), client.ObjectKey{Name: configuration}, &out); err != nil {
		t.Fatal(err)
	}
	return &out
}

// badSettings violate the rule that the API server judges.
func badSettings(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: guarded, Name: name}, Data: map[string]string{"bad": "x"}}
}

// refusedBy returns what is wrong with an answer that should be the refusal of a rule.
func refusedBy(err error, rule string) error {
	if err == nil {
		return fmt.Errorf("admitted, though %s is against it", rule)
	}
	if !strings.Contains(err.Error(), rule) {
		return fmt.Errorf("not refused by %s: %w", rule, err)
	}
	return nil
}

// eventually tries until there is no error, and fails the test with the last one
// otherwise.
func eventually(t *testing.T, what string, try func(ctx context.Context) error) {
	t.Helper()
	eventuallyWithin(t, within, what, try)
}

func eventuallyWithin(t *testing.T, within time.Duration, what string, try func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	var last error
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %s; seen last: %v", what, within, last)
		case <-ticker.C:
		}
	}
}

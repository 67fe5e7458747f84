package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/cluster"
	"github.com/mainstay-dev/mainstay/test/replicas"
)

const (
	// namespace is where the requests are, budgets how many objects the rules refer to.
	namespace = "shop"
	budgets   = 20

	// lag is what a Service may take to hear of a replica that is told to stop.
	lag = time.Second
	// within bounds every wait for what has to come about.
	within = 90 * time.Second
)

// bed is a control plane with two replicas of Mainstay.
type bed struct {
	options

	cluster   *cluster.Cluster
	client    client.Client
	http      *http.Client
	replicas  *replicas.Set
	matched   *load // what the rules are about
	unmatched *load // what no rule is about
	started   int
}

func start(ctx context.Context, work string, opts options) (*bed, error) {
	program, err := replicas.Build(ctx, work)
	if err != nil {
		return nil, err
	}
	c, err := cluster.Start(ctx, cluster.Options{Out: opts.out})
	if err != nil {
		return nil, err
	}
	b := &bed{options: opts, cluster: c}
	if err := b.prepare(ctx, program); err != nil {
		return nil, errors.Join(err, b.stop())
	}
	return b, nil
}

func (b *bed) prepare(ctx context.Context, program string) error {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	cfg := b.cluster.Config()
	cfg.QPS = -1
	var err error
	if b.client, err = client.New(cfg, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	if b.http, err = rest.HTTPClientFor(cfg); err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	if err := replicas.Install(ctx, b.cluster); err != nil {
		return err
	}
	if err := b.objects(ctx); err != nil {
		return err
	}
	path := "/api/v1/namespaces/" + namespace
	if b.matched, err = b.load(cfg, path+"/configmaps", settings("budget-0", "registry.example")); err != nil {
		return err
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "budget-0"}}
	if b.unmatched, err = b.load(cfg, path+"/serviceaccounts", account); err != nil {
		return err
	}
	b.replicas, err = replicas.New(replicas.Options{Cluster: b.cluster, Program: program, Webhook: true, Lag: lag, HTTP2: !b.http1})
	if err != nil {
		return err
	}
	for range 2 {
		if _, err := b.another(ctx); err != nil {
			return err
		}
	}
	return nil
}

// objects are the namespace, and what the rules refer to.
func (b *bed) objects(ctx context.Context) error {
	objs := []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}}
	for n := range budgets {
		name := fmt.Sprintf("budget-%d", n)
		objs = append(objs, &policyv1.PodDisruptionBudget{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}},
		})
	}
	for _, obj := range objs {
		if err := b.client.Create(ctx, obj); err != nil {
			return fmt.Errorf("create %T %s: %w", obj, obj.GetName(), err)
		}
	}
	return nil
}

func (b *bed) load(cfg *rest.Config, path string, obj client.Object) (*load, error) {
	body, err := json.Marshal(obj)
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	return &load{client: b.http, url: cfg.Host + path + "?dryRun=All&fieldManager=bench", body: body, rate: b.rate}, nil
}

// another starts a replica and waits until it gets requests.
func (b *bed) another(ctx context.Context) (*replicas.Replica, error) {
	r, err := b.replicas.Start(ctx, fmt.Sprintf("mainstay-%d", b.started))
	if err != nil {
		return nil, err
	}
	b.started++
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := b.replicas.Ready(ctx, r); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, r.Tail())
	}
	return r, nil
}

func (b *bed) stop() error {
	var err error
	if b.replicas != nil {
		err = b.replicas.Close()
	}
	return errors.Join(err, b.cluster.Stop())
}

// settings are what is created: of all objects one that costs an API server little, so
// that what rules add shows.
func settings(app, registry string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: app, Labels: map[string]string{"app": app}},
		Data:       map[string]string{"registry": registry},
	}
}

// rule is one that every request conforms to, with references or without.
func rule(name string, references bool) *v1alpha1.ClusterRule {
	r := builders.MakeClusterRule(name).Modes(v1alpha1.ModeAdmission).FailurePolicy(admissionregistrationv1.Fail).Match("", "v1", "configmaps")
	if references {
		return r.Refer("budgets", "policy/v1", "PodDisruptionBudget").
			Validate("refs.budgets.exists(b, selectorMatches(b.spec.selector, object.metadata.labels))", "no budget").Obj()
	}
	return r.Validate("object.data.registry == 'registry.example'", "another registry").Obj()
}

// rules has n rules in force, and no others.
func (b *bed) rules(ctx context.Context, n int, references bool) error {
	if err := b.client.DeleteAllOf(ctx, &v1alpha1.ClusterRule{}); err != nil {
		return fmt.Errorf("delete the rules: %w", err)
	}
	refused := settings("unbudgeted", "elsewhere")
	try := func(ctx context.Context) error { return b.client.Create(ctx, refused.DeepCopy(), client.DryRunAll) }
	if err := b.until(ctx, "no rule is in force", func(ctx context.Context) error { return try(ctx) }); err != nil {
		return err
	}
	for i := range n {
		if err := b.client.Create(ctx, rule(fmt.Sprintf("rule-%d", i), references)); err != nil {
			return fmt.Errorf("create a rule: %w", err)
		}
	}
	if n == 0 {
		return nil
	}
	return b.until(ctx, "the rules are in force", func(ctx context.Context) error {
		var list v1alpha1.ClusterRuleList
		if err := b.client.List(ctx, &list); err != nil {
			return err
		}
		for i := range list.Items {
			if !meta.IsStatusConditionTrue(list.Items[i].Status.Conditions, v1alpha1.ConditionEnforced) {
				return fmt.Errorf("%s is not: %+v", list.Items[i].Name, list.Items[i].Status.Conditions)
			}
		}
		if try(ctx) == nil {
			return errors.New("what violates them is admitted")
		}
		return nil
	})
}

// until tries until there is no error.
func (b *bed) until(ctx context.Context, what string, try func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w: %w", what, ctx.Err(), err)
		case <-ticker.C:
		}
	}
}

func (b *bed) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.out, format+"\n", args...)
}

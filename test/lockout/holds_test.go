package lockout_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/recovery"
)

// bound is how long a request of the recovery path may take: after 10 s Kubernetes' own
// leaders give up their lease. An entry that denies and is asked about the path shows at
// once: nobody answers for it in most states.
const bound = 10 * time.Second

// expected is what holds in a state beside the recovery path.
type expected struct {
	// lapsed rules are in force no more, because they or what they are made of is gone.
	lapsed map[string]bool
	// unserved says that nobody answers the webhook: what a rule with references is
	// about is refused, whatever it is. That is everything but Secrets and what is only
	// warned of.
	unserved bool
	// partly says that somebody may answer all the same.
	partly bool
	// everything is refused that is not on the recovery path.
	everything bool
}

// holds walks the recovery path and tries what is guarded. Flux, a node and an
// administrator walk in every state; of the rest, which has two controllers of
// kube-system side by side, every other one does.
func (e *env) holds(t *testing.T, want expected) {
	t.Helper()
	var all sync.WaitGroup
	state := int(e.states.Add(1))
	for i, user := range recovery.Users() {
		always := user.Node != "" || user.Name == "root" || strings.HasPrefix(user.Name, "system:serviceaccount:flux-system:")
		if always || (i+state)%2 == 0 {
			all.Go(func() { e.walk(t, i, user) })
		}
	}
	all.Go(func() { e.guards(t, want) })
	all.Wait()
}

func (e *env) walk(t *testing.T, i int, user recovery.User) {
	t.Helper()
	cfg := e.configOf(t, user)
	turn := int(e.walks.Add(1))
	name := fmt.Sprintf("walk-%d", turn)
	err := e.path.Walk(t.Context(), cfg, user, name, turn+i, func(user, what string, took time.Duration, err error) {
		totals.recovery(what, took, err == nil && took < bound)
		if err != nil {
			t.Errorf("locked out: %s cannot %s: %v", user, what, err)
		} else if took >= bound {
			t.Errorf("locked out: %s waits %s to %s", user, took.Round(time.Millisecond), what)
		}
	})
	if err != nil {
		t.Errorf("walk as %s: %v", user.Name, err)
	}
}

func (e *env) configOf(t *testing.T, user recovery.User) *rest.Config {
	t.Helper()
	cfg, err := e.ConfigFor(user.Name, user.Groups...)
	if err != nil {
		t.Error(err)
		return e.Config()
	}
	return cfg
}

// guards tries what violates a rule, what no rule is about, and what conforms. Off the
// recovery path nobody is exempt but the API server.
func (e *env) guards(t *testing.T, want expected) {
	t.Helper()
	var all sync.WaitGroup
	defer all.Wait() // an entry that nobody answers takes 3 s of each
	for _, user := range recovery.Users() {
		switch user.Name {
		case "system:serviceaccount:flux-system:kustomize-controller", "system:serviceaccount:kube-system:namespace-controller", "root":
		default:
			continue
		}
		cfg := e.configOf(t, user)
		cfg.QPS = -1
		c, err := client.New(cfg, client.Options{Scheme: e.client.Scheme()})
		if err != nil {
			t.Error(err)
			return
		}
		ctx := t.Context()
		for rule, obj := range map[string]client.Object{kept: badSettings("bad"), budgeted: builders.MakeDeployment(guarded, "unbudgeted").Obj()} {
			if want.lapsed[rule] {
				continue
			}
			by := []string{rule}
			switch {
			case rule == budgeted && want.unserved:
				by = nil
			case want.everything:
				by = append(by, everything)
			}
			for how, opts := range map[string][]client.CreateOption{"creates dry": {client.DryRunAll}, "creates": nil} {
				all.Go(func() {
					e.violates(ctx, t, user.Name+" "+how+" what violates "+rule, by, func() error {
						return c.Create(ctx, obj.DeepCopyObject().(client.Object), opts...)
					})
				})
			}
		}
		all.Go(func() { e.unrelated(ctx, t, c, user, want) })
		all.Go(func() { e.bypassed(ctx, t, c, user) })
		if want.unserved && !want.partly && !want.lapsed[budgeted] {
			all.Go(func() {
				e.violates(ctx, t, user.Name+" creates what nobody judges", nil, func() error {
					return c.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: guarded, Name: "unjudged"}}, client.DryRunAll)
				})
			})
		}
		if want.unserved || want.everything {
			continue
		}
		all.Go(func() {
			if err := c.Create(ctx, builders.MakeDeployment(guarded, "budgeted").Obj(), client.DryRunAll); err != nil {
				t.Errorf("%s cannot create what conforms: %v", user.Name, err)
			}
		})
	}
}

// unrelated tries what no rule is about, and what a rule only warns of: it has an entry of
// its own, which lets through what nobody answers.
func (e *env) unrelated(ctx context.Context, t *testing.T, c client.Client, user recovery.User, want expected) {
	t.Helper()
	for _, obj := range []client.Object{
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: guarded, Name: "no-rule"}},
		&corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: guarded, Name: "warned-of"}},
	} {
		if want.everything {
			e.violates(ctx, t, fmt.Sprintf("%s creates a %T", user.Name, obj), nil, func() error { return c.Create(ctx, obj, client.DryRunAll) })
			continue
		}
		e.admitted(ctx, t, c, user, fmt.Sprintf("create a %T that no rule denies", obj), obj)
	}
}

// bypassed tries in a namespace with the label what violates the rules.
func (e *env) bypassed(ctx context.Context, t *testing.T, c client.Client, user recovery.User) {
	t.Helper()
	settings := badSettings("bad")
	settings.Namespace = bypassed
	e.admitted(ctx, t, c, user, "create bad settings where the bypass is", settings)
	e.admitted(ctx, t, c, user, "create a Deployment without a budget where the bypass is", builders.MakeDeployment(bypassed, "unbudgeted").Obj())
}

func (e *env) admitted(ctx context.Context, t *testing.T, c client.Client, user recovery.User, what string, obj client.Object) {
	t.Helper()
	began := time.Now()
	err := c.Create(ctx, obj, client.DryRunAll)
	if ctx.Err() != nil {
		return
	}
	totals.recovery(what, time.Since(began), err == nil)
	if err != nil {
		t.Errorf("locked out: %s cannot %s: %v", user.Name, what, err)
	}
}

// violates tries what rules in force refuse, one of which the refusal has to name: another
// rule that nobody answers for would refuse it as well. Without names any will do.
func (e *env) violates(ctx context.Context, t *testing.T, what string, by []string, try func() error) {
	t.Helper()
	err := try()
	if ctx.Err() != nil || err != nil && recovery.Unreached(err) {
		return // nobody was asked
	}
	// An API server that has just started refuses what it has not read the policies for yet.
	by = append(by, "not yet ready to handle request")
	named := err != nil && slices.ContainsFunc(by, func(name string) bool { return strings.Contains(err.Error(), name) })
	totals.violation(err != nil)
	switch {
	case err == nil:
		t.Errorf("wrongly admitted: %s", what)
	case len(by) > 1 && !named:
		t.Errorf("%s: refused by something else than %s: %v", what, by[0], err)
	}
}

package lockout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/replicas"
)

// collected is how long the garbage collector may take: it looks for new kinds every
// 30 s.
const collected = 90 * time.Second

// TestRemovedInAnyOrder has parts of Mainstay go before the others.
func TestRemovedInAnyOrder(t *testing.T) {
	t.Parallel()
	e := start(t, replicas.Options{})
	t.Run("the namespace first, with everything still running", e.namespaceFirst)
	t.Run("the CRDs first, with everything still running", e.kindsFirst)
	t.Run("the CRDs first, with nobody there", e.kindsFirstAlone)
}

// namespaceFirst: the configuration goes with the namespace, and does not come back.
func (e *env) namespaceFirst(t *testing.T) {
	e.deleteNamespace(t)
	e.opened(t, budgeted)
	e.withoutNamespace(func() { e.holds(t, expected{lapsed: map[string]bool{budgeted: true}}) })
	e.opened(t, budgeted)
	if err := e.replicas.Kill(); err != nil {
		t.Fatal(err)
	}
	e.reinstall(t, "again-0", "again-1")
}

// deleteNamespace waits until Mainstay's namespace is gone.
func (e *env) deleteNamespace(t *testing.T) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: replicas.Namespace}}
	if err := e.client.Delete(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	e.gone(t, namespace)
}

// kindsFirst: the leader finds no rules, and empties the configuration.
func (e *env) kindsFirst(t *testing.T) {
	e.deleteKinds(t)
	e.opened(t, budgeted)
	e.opened(t, kept)
	e.holds(t, expected{lapsed: map[string]bool{kept: true, budgeted: true}})
	if err := e.replicas.Kill(); err != nil {
		t.Fatal(err)
	}
	e.deleteNamespace(t)
	e.reinstall(t, "anew-0", "anew-1")
}

// kindsFirstAlone: nobody empties the configuration until the namespace goes too.
func (e *env) kindsFirstAlone(t *testing.T) {
	if err := e.replicas.Kill(); err != nil {
		t.Fatal(err)
	}
	e.deleteKinds(t)
	e.opened(t, kept)
	e.holds(t, expected{lapsed: map[string]bool{kept: true}, unserved: true})
	e.deleteNamespace(t)
	e.opened(t, budgeted)
}

func (e *env) deleteKinds(t *testing.T) {
	t.Helper()
	if out, err := e.Kubectl(t.Context(), "delete", "crd", "clusterrules.mainstay.dev", "rules.mainstay.dev", "lifelines.mainstay.dev", "interventions.mainstay.dev"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// opened waits until what violates a rule is not refused by it any more, because it is gone.
func (e *env) opened(t *testing.T, rule string) {
	t.Helper()
	e.eventuallyCollected(t, "what "+rule+" refused is refused no more", func(ctx context.Context) error {
		if rule == kept {
			err := e.client.Create(ctx, badSettings("opened"), client.DryRunAll)
			if err != nil && !strings.Contains(err.Error(), kept) {
				return nil // by the webhook of another one, which nobody answers
			}
			return err
		}
		return e.client.Create(ctx, builders.MakeDeployment(guarded, "unbudgeted").Obj(), client.DryRunAll)
	})
}

func (e *env) gone(t *testing.T, obj client.Object) {
	t.Helper()
	e.eventuallyCollected(t, obj.GetName()+" is gone", func(ctx context.Context) error {
		err := e.client.Get(ctx, client.ObjectKeyFromObject(obj), obj)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(err, fmt.Errorf("%T %s is there", obj, obj.GetName()))
	})
}

func (e *env) eventuallyCollected(t *testing.T, what string, try func(ctx context.Context) error) {
	t.Helper()
	eventuallyWithin(t, collected, what, try)
}

// withoutNamespace has a walk leave out Mainstay's namespace.
func (e *env) withoutNamespace(do func()) {
	before := e.path
	defer func() { e.path = before }()
	e.path.Namespaces = slices.DeleteFunc(slices.Clone(before.Namespaces), func(name string) bool { return name == replicas.Namespace })
	do()
}

// reinstall brings everything back.
func (e *env) reinstall(t *testing.T, pods ...string) {
	t.Helper()
	for _, obj := range []client.Object{
		&admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: configuration}},
	} {
		e.gone(t, obj)
	}
	e.install(t)
	eventually(t, "the kinds are served", func(ctx context.Context) error { return e.path.Prepare(ctx, e.client) })
	e.run(t, pods...)
	e.rules(t)
}

package manager_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/controllers/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// TestStaleCacheOpensNoGate has a leader whose cache does not know a rule yet, or knows a
// generation that was suspended: what a former leader wrote for it stays.
func TestStaleCacheOpensNoGate(t *testing.T) {
	t.Parallel()
	ns := testNamespace(t, "stale")
	r := noBad(t, "stale").Obj()
	shared.create(t, r)
	denied(t, shared.client, configMap(ns, "a", "bad"))
	key := rule.Key{Kind: rule.KindClusterRule, Name: r.Name}
	live, err := client.NewWithWatch(shared.Config(), client.Options{Scheme: shared.client.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	compiler, err := expr.NewCompiler(1)
	if err != nil {
		t.Fatal(err)
	}
	for name, seen := range map[string]func(*v1alpha1.ClusterRule) error{
		"not yet there": func(*v1alpha1.ClusterRule) error {
			return apierrors.NewNotFound(schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "clusterrules"}, r.Name)
		},
		"suspended before": func(got *v1alpha1.ClusterRule) error {
			got.Generation--
			got.Spec.Suspend = true
			return nil
		},
	} {
		behind := interceptor.NewClient(live, interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, at client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
				err := c.Get(ctx, at, obj, opts...)
				if got, ok := obj.(*v1alpha1.ClusterRule); ok && err == nil {
					return seen(got)
				}
				return err
			},
		})
		reconciler := policy.New(policy.Options{Client: behind, Reader: live, Compiler: compiler, Clock: clock.RealClock{}, Namespace: ownNamespace})
		result, err := reconciler.Reconcile(t.Context(), key)
		if err != nil || result.RequeueAfter != time.Second {
			t.Errorf("%s: %+v, %v; want it to wait for the cache", name, result, err)
		}
		denied(t, shared.client, configMap(ns, "a", "bad"))
	}
	edit(t, shared, r, func(r *v1alpha1.ClusterRule) { r.Spec.Suspend = true })
	ruleStatus(t, shared, r, enforcedIs(metav1.ConditionFalse, v1alpha1.ReasonSuspended))
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		err := tries(ctx, shared.client, configMap(ns, "a", "bad"))
		return err == nil, fmt.Sprint(err)
	})
}

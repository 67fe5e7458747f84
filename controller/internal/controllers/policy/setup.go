package policy

import (
	"context"
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	rulecontroller "github.com/mainstay-dev/mainstay/controller/internal/controllers/rule"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// SetupWithManager registers the controller. A policy brings its rule back when
// it changes, and when it is first seen: that is how those of a rule that was
// deleted while nobody led are found.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	owners := handler.TypedEnqueueRequestsFromMapFunc(func(_ context.Context, obj client.Object) []rule.Key {
		if key, ok := policy.KeyOf(obj.GetAnnotations()[v1alpha1.AnnotationRule]); ok {
			return []rule.Key{key}
		}
		return nil
	})
	err := rulecontroller.Watch(mgr, "policy").
		Watches(&admissionregistrationv1.ValidatingAdmissionPolicy{}, owners).
		Watches(&admissionregistrationv1.ValidatingAdmissionPolicyBinding{}, owners).
		Watches(&corev1.ConfigMap{}, allRules(r.Client)).
		WatchesRawSource(source.TypedFunc[rule.Key](func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[rule.Key]) error {
			r.Objects.Handle(served{func() {
				for _, key := range keysOf(ctx, r.Client) {
					queue.Add(key)
				}
			}})
			return nil
		})).
		Complete(r)
	if err != nil {
		return fmt.Errorf("set up the policy controller: %w", err)
	}
	return nil
}

// served is told when the API server serves something else than before: what a rule names may be
// gone, or have come.
type served struct {
	changed func()
}

var _ informer.Handler = served{}

func (s served) ResourcesChanged() { s.changed() }

// The rest is about objects, of which policies need none.

func (s served) StateChanged(schema.GroupVersionResource) {}
func (s served) Replaced(schema.GroupVersionResource)     {}
func (s served) ObjectChanged(schema.GroupVersionResource, *unstructured.Unstructured, *unstructured.Unstructured) {
}

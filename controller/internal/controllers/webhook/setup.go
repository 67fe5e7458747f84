package webhook

import (
	"context"
	"fmt"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	rulecontroller "github.com/mainstay-dev/mainstay/controller/internal/controllers/rule"
	"github.com/mainstay-dev/mainstay/controller/internal/gate"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
)

// gather is how long changes are gathered into one write: every API server takes
// the whole configuration anew with each.
const gather = 200 * time.Millisecond

// SetupWithManager registers the controller. There is one thing to reconcile:
// whatever changes asks for it.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	changes := source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) error {
		again := func() { queue.AddAfter(all(), gather) }
		r.Certificates.OnChange(again)
		r.Objects.Handle(&follower{changed: again})
		again()
		return nil
	})
	ownName := predicate.NewPredicateFuncs(func(obj client.Object) bool { return obj.GetName() == gate.ConfigurationName })
	err := ctrl.NewControllerManagedBy(mgr).Named("webhook").
		Watches(&v1alpha1.ClusterRule{}, later(), builder.WithPredicates(rulecontroller.Rewritten())).
		Watches(&v1alpha1.Rule{}, later(), builder.WithPredicates(rulecontroller.Rewritten())).
		Watches(&corev1.ConfigMap{}, later()).
		Watches(&admissionregistrationv1.ValidatingWebhookConfiguration{}, later(), builder.WithPredicates(ownName)).
		WatchesRawSource(changes).
		Complete(r)
	if err != nil {
		return fmt.Errorf("set up the webhook controller: %w", err)
	}
	return nil
}

// all is the one request: the configuration as a whole.
func all() ctrl.Request {
	return ctrl.Request{NamespacedName: client.ObjectKey{Name: gate.ConfigurationName}}
}

// later asks for the one request, whatever the object.
func later() handler.EventHandler {
	add := func(queue workqueue.TypedRateLimitingInterface[ctrl.Request]) { queue.AddAfter(all(), gather) }
	return handler.Funcs{
		CreateFunc: func(_ context.Context, _ event.CreateEvent, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) {
			add(queue)
		},
		UpdateFunc: func(_ context.Context, _ event.UpdateEvent, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) {
			add(queue)
		},
		DeleteFunc: func(_ context.Context, _ event.DeleteEvent, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) {
			add(queue)
		},
	}
}

// follower asks for the one request when what the API server serves has changed,
// or whether it can be read.
type follower struct {
	changed func()
}

var _ informer.Handler = (*follower)(nil)

func (f *follower) ResourcesChanged()                        { f.changed() }
func (f *follower) StateChanged(schema.GroupVersionResource) { f.changed() }
func (f *follower) Replaced(schema.GroupVersionResource)     { f.changed() }

// ObjectChanged is nothing to the configuration.
func (f *follower) ObjectChanged(schema.GroupVersionResource, *unstructured.Unstructured, *unstructured.Unstructured) {
}

package lifeline

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
)

// pause gathers a burst of changes (a rollout, a node that comes back) into
// one judgement.
const pause = 200 * time.Millisecond

// lagConsumer is the name under which Flux's kinds are wanted.
const lagConsumer = "lifeline-lag"

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.objects.Apply(lagConsumer, lagWants())
	leases := delayed(func(ctx context.Context, lease client.Object) []reconcile.Request {
		if lease.GetNamespace() == metav1.NamespaceSystem {
			return r.requests(ctx)
		}
		return r.inNamespace(ctx, lease)
	})
	here := delayed(r.inNamespace)
	everywhere := delayed(r.all)
	err := ctrl.NewControllerManagedBy(mgr).
		Named("lifeline").
		WithOptions(controller.Options{RateLimiter: retries(), NewQueue: r.newQueue}).
		For(&v1alpha1.Lifeline{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&appsv1.Deployment{}, here).
		Watches(&appsv1.StatefulSet{}, here).
		Watches(&appsv1.ReplicaSet{}, here).
		Watches(&corev1.Pod{}, here).
		Watches(&policyv1.PodDisruptionBudget{}, here).
		Watches(&corev1.Node{}, everywhere, builder.WithPredicates(nodeChanged())).
		Watches(&coordinationv1.Lease{}, leases, builder.WithPredicates(holderChanged())).
		Watches(&v1alpha1.Intervention{}, handler.EnqueueRequestsFromMapFunc(owner)).
		WatchesRawSource(source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
			r.objects.Handle(&fluxHandler{reconciler: r, queue: queue})
			return nil
		})).
		Complete(r)
	if err != nil {
		return fmt.Errorf("set up the lifeline controller: %w", err)
	}
	return nil
}

// retries come at least as often as looks: what fails must not be looked at less than
// what does not.
func retries() workqueue.TypedRateLimiter[reconcile.Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](5*time.Millisecond, lookAgain)
}

// inNamespace lists the Lifelines beside an object.
func (r *Reconciler) inNamespace(ctx context.Context, obj client.Object) []reconcile.Request {
	return r.requests(ctx, client.InNamespace(obj.GetNamespace()))
}

func (r *Reconciler) all(ctx context.Context, _ client.Object) []reconcile.Request {
	return r.requests(ctx)
}

func (r *Reconciler) requests(ctx context.Context, opts ...client.ListOption) []reconcile.Request {
	var list v1alpha1.LifelineList
	if err := r.client.List(ctx, &list, opts...); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot list the lifelines that a change is about")
		return nil
	}
	requests := make([]reconcile.Request, len(list.Items))
	for i := range list.Items {
		requests[i].NamespacedName = client.ObjectKeyFromObject(&list.Items[i])
	}
	return requests
}

// owner maps an Intervention to its Lifeline.
func owner(_ context.Context, obj client.Object) []reconcile.Request {
	iv, ok := obj.(*v1alpha1.Intervention)
	if !ok || iv.Spec.Owner.Kind != "Lifeline" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: iv.Spec.Owner.Namespace, Name: iv.Spec.Owner.Name}}}
}

// delayed enqueues what a map function returns after the pause.
func delayed(mapped handler.MapFunc) handler.EventHandler {
	add := func(ctx context.Context, obj client.Object, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		for _, request := range mapped(ctx, obj) {
			queue.AddAfter(request, pause)
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			add(ctx, e.Object, q)
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			add(ctx, e.ObjectNew, q)
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			add(ctx, e.Object, q)
		},
	}
}

// nodeChanged passes what a judgement depends on, not the heartbeat of a
// node's status.
func nodeChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		old, okOld := e.ObjectOld.(*corev1.Node)
		node, okNew := e.ObjectNew.(*corev1.Node)
		return !okOld || !okNew ||
			!equality.Semantic.DeepEqual(old.Spec, node.Spec) ||
			!equality.Semantic.DeepEqual(old.Labels, node.Labels) ||
			ready(old) != ready(node)
	}}
}

func ready(node *corev1.Node) corev1.ConditionStatus {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status
		}
	}
	return corev1.ConditionUnknown
}

// holderChanged passes Leases that change hands, not their renewals.
func holderChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		old, okOld := e.ObjectOld.(*coordinationv1.Lease)
		lease, okNew := e.ObjectNew.(*coordinationv1.Lease)
		return !okOld || !okNew || !equality.Semantic.DeepEqual(old.Spec.HolderIdentity, lease.Spec.HolderIdentity)
	}}
}

// fluxHandler brings the Lifelines that watch the lag back when a revision
// changes.
type fluxHandler struct {
	reconciler *Reconciler
	queue      workqueue.TypedRateLimitingInterface[reconcile.Request]
}

var _ informer.Handler = (*fluxHandler)(nil)

// ResourcesChanged does nothing: the state of what is wanted says it.
func (h *fluxHandler) ResourcesChanged() {}

// StateChanged looks again once a kind is synced or gone.
func (h *fluxHandler) StateChanged(gvr schema.GroupVersionResource) { h.enqueue(gvr) }

// Replaced looks again.
func (h *fluxHandler) Replaced(gvr schema.GroupVersionResource) { h.enqueue(gvr) }

// ObjectChanged looks again at every revision.
func (h *fluxHandler) ObjectChanged(gvr schema.GroupVersionResource, _, _ *unstructured.Unstructured) {
	h.enqueue(gvr)
}

func (h *fluxHandler) enqueue(gvr schema.GroupVersionResource) {
	if !isFlux(gvr) {
		return
	}
	var list v1alpha1.LifelineList
	if err := h.reconciler.client.List(context.Background(), &list); err != nil {
		return // the cache ends with the program
	}
	for i := range list.Items {
		if list.Items[i].Spec.Lag != nil {
			h.queue.AddAfter(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])}, 2*pause)
		}
	}
}

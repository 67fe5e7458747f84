package lifeline

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// vitalPriority is above that of all other Lifelines, which is zero or less.
const vitalPriority = 1

// queue has the Lifelines of what the cluster heals by stand before all others: a change of
// a Node brings all of them back, and how many others there are is not Mainstay's to say.
type queue struct {
	priorityqueue.PriorityQueue[reconcile.Request]
	vital func(namespace string) bool
}

var _ priorityqueue.PriorityQueue[reconcile.Request] = queue{}

func (r *Reconciler) newQueue(name string, limiter workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request] {
	return queue{
		PriorityQueue: priorityqueue.New(name, func(o *priorityqueue.Opts[reconcile.Request]) { o.RateLimiter = limiter }),
		vital:         r.vital,
	}
}

// vital says whether a namespace is Flux's, Kubernetes' or Mainstay's own.
func (r *Reconciler) vital(namespace string) bool {
	return namespace == metav1.NamespaceSystem || namespace == r.namespace || slices.Contains(r.fluxNamespaces, namespace)
}

func (q queue) Add(item reconcile.Request) {
	q.AddWithOpts(priorityqueue.AddOpts{}, item)
}

func (q queue) AddAfter(item reconcile.Request, after time.Duration) {
	q.AddWithOpts(priorityqueue.AddOpts{After: after}, item)
}

func (q queue) AddRateLimited(item reconcile.Request) {
	q.AddWithOpts(priorityqueue.AddOpts{RateLimited: true}, item)
}

// AddWithOpts adds items with their priority, or that of the vital ones.
func (q queue) AddWithOpts(opts priorityqueue.AddOpts, items ...reconcile.Request) {
	for _, item := range items {
		of := opts
		if q.vital(item.Namespace) {
			of.Priority = new(vitalPriority)
		}
		q.PriorityQueue.AddWithOpts(of, item)
	}
}

package lifeline

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func newTestQueue(t *testing.T) priorityqueue.PriorityQueue[reconcile.Request] {
	t.Helper()
	r := New(Options{Namespace: own, FluxNamespaces: []string{"flux-system"}})
	q, ok := r.newQueue(t.Name(), retries()).(priorityqueue.PriorityQueue[reconcile.Request])
	if !ok {
		t.Fatal("it has no priorities")
	}
	t.Cleanup(q.ShutDown)
	return q
}

func requestOf(namespace, name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}
}

// However many Lifelines somebody has, Flux's does not wait for them.
func TestFluxIsLookedAtFirst(t *testing.T) {
	t.Parallel()
	q := newTestQueue(t)
	for i := range 100 {
		q.Add(requestOf(shop, fmt.Sprint(i)))
	}
	q.Add(requestOf("flux-system", "flux"))
	if first, _ := q.Get(); first != requestOf("flux-system", "flux") {
		t.Errorf("%s comes first", first)
	}
}

func TestPrioritiesHoldForAllWaysIntoTheQueue(t *testing.T) {
	t.Parallel()
	ways := map[string]struct {
		add       func(priorityqueue.PriorityQueue[reconcile.Request], reconcile.Request)
		wantOther int
	}{
		"at once": {add: func(q priorityqueue.PriorityQueue[reconcile.Request], item reconcile.Request) { q.Add(item) }},
		"after a pause": {add: func(q priorityqueue.PriorityQueue[reconcile.Request], item reconcile.Request) {
			q.AddAfter(item, time.Millisecond)
		}},
		"after a fault": {add: func(q priorityqueue.PriorityQueue[reconcile.Request], item reconcile.Request) { q.AddRateLimited(item) }},
		"at the start": {
			add: func(q priorityqueue.PriorityQueue[reconcile.Request], item reconcile.Request) {
				q.AddWithOpts(priorityqueue.AddOpts{Priority: new(handler.LowPriority)}, item)
			},
			wantOther: handler.LowPriority,
		},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := newTestQueue(t)
			for namespace, want := range map[string]int{
				"flux-system": vitalPriority, "kube-system": vitalPriority, own: vitalPriority, shop: way.wantOther,
			} {
				way.add(q, requestOf(namespace, "line"))
				item, priority, _ := q.GetWithPriority()
				if priority != want || item.Namespace != namespace {
					t.Errorf("%s has priority %d, want %s with %d", item, priority, namespace, want)
				}
			}
		})
	}
}

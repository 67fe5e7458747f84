package informer

import (
	"context"
	"maps"
	"reflect"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
)

// watch is one running informer.
type watch struct {
	mask     expr.Mask
	informer cache.SharedIndexInformer
	cancel   context.CancelFunc
	done     chan struct{}

	mu     sync.Mutex
	state  State
	synced bool
	// refused is since when the API server refuses a verb, for those that it refuses.
	refused map[string]time.Time
}

// lasting is how long a refusal of what was answered before passes by itself: an API
// server that has just started knows no roles yet.
const lasting = time.Minute

func (w *watch) currentState() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// failed records the error of a list or watch. Once synced, a fault that
// passes by itself changes nothing, and a refusal nothing until it has lasted.
func (w *watch) failed(gvr schema.GroupVersionResource, verb string, err error, now time.Time) (changed, gone bool) {
	state, known := stateOf(gvr, verb, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	if !known && w.synced {
		return false, false
	}
	if state.Phase == Forbidden {
		if w.refused == nil {
			w.refused = map[string]time.Time{}
		}
		if _, before := w.refused[verb]; !before {
			w.refused[verb] = now
		}
		if w.state.Phase == Synced && now.Sub(w.refused[verb]) < lasting {
			return false, false
		}
	}
	changed = w.state.Phase != state.Phase || (w.state.Message == "" && state.Message != "")
	w.state = state
	return changed, state.Phase == Absent
}

// succeeded records that the API server answered a list or watch. A list says nothing
// about a refused watch: without it what is listed grows old. A watch that is answered
// needs no list: it may bring the objects itself, and no list is tried any more.
func (w *watch) succeeded(verb string) (changed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if verb == "watch" {
		w.refused = nil
	}
	delete(w.refused, verb)
	if !w.synced || w.state.Phase == Synced || len(w.refused) > 0 {
		return false
	}
	w.state = State{Phase: Synced}
	return true
}

// listed records that every object is in the cache.
func (w *watch) listed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.synced = true
	if len(w.refused) == 0 {
		w.state = State{Phase: Synced}
	}
}

// finished says whether every object was in the cache once.
func (w *watch) finished() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.synced
}

// startWatch runs an informer for one resource. s.mu is held.
func (s *Set) startWatch(parent context.Context, gvr schema.GroupVersionResource, mask expr.Mask) *watch {
	ctx, cancel := context.WithCancel(parent)
	w := &watch{
		mask:   mask,
		cancel: cancel,
		done:   make(chan struct{}),
		state:  listing(gvr),
	}
	answered := func(verb string, err error) {
		var changed, gone bool
		if err != nil {
			changed, gone = w.failed(gvr, verb, err, time.Now())
		} else {
			changed = w.succeeded(verb)
		}
		if gone {
			s.Refresh()
		}
		if changed && ctx.Err() == nil {
			s.unsettle() // more fields may wait for this one to be synced
			s.notifyStates([]schema.GroupVersionResource{gvr})
		}
	}
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			list, err := s.clients.Dynamic.Resource(gvr).List(ctx, options)
			answered("list", err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (apiwatch.Interface, error) {
			stream, err := s.clients.Dynamic.Resource(gvr).Watch(ctx, options)
			answered("watch", err)
			return stream, err
		},
	}
	w.informer = cache.NewSharedIndexInformer(
		cache.ToListWatcherWithWatchListSemantics(lw, s.clients.Dynamic),
		&unstructured.Unstructured{}, 0,
		cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc},
	)
	// Neither call fails on an informer that has not been started.
	_ = w.informer.SetTransform(func(item any) (any, error) {
		if obj, ok := item.(*unstructured.Unstructured); ok {
			kept := mask.Apply(obj.Object)
			if ownStatus(gvr) {
				delete(kept, "status")
			}
			return &unstructured.Unstructured{Object: kept}, nil
		}
		return item, nil
	})
	_ = w.informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		// Lists and watches report through answered; this replaces the default
		// handler, which logs each attempt at error level.
		s.log.V(1).Info("list or watch ended", "resource", gvr.GroupResource().String(), "err", err.Error())
	})
	registration, err := w.informer.AddEventHandler(s.eventHandler(gvr))
	if err != nil {
		s.log.Error(err, "cannot add an event handler", "resource", gvr.GroupResource().String())
	}

	go func() {
		defer close(w.done)
		w.informer.RunWithContext(ctx)
	}()
	go func() {
		if !cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
			return
		}
		w.listed()
		s.promote(gvr, w)
		s.unsettle() // other fields may be wanted by now
		s.notifyStates([]schema.GroupVersionResource{gvr})
	}()
	return w
}

// ownStatus says whether a resource's status is what rules have written: a rule
// that read it would change what it reads, for ever.
func ownStatus(gvr schema.GroupVersionResource) bool {
	return gvr.Group == v1alpha1.GroupVersion.Group && (gvr.Resource == "rules" || gvr.Resource == "clusterrules")
}

// eventHandler passes on what comes after the first list: a consumer looks at
// everything when a resource becomes synced.
func (s *Set) eventHandler(gvr schema.GroupVersionResource) cache.ResourceEventHandler {
	tell := func(old, obj *unstructured.Unstructured) {
		for _, h := range s.listeners() {
			h.ObjectChanged(gvr, old, obj)
		}
	}
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(item any, isInInitialList bool) {
			if obj, ok := item.(*unstructured.Unstructured); ok && !isInInitialList {
				tell(nil, obj)
			}
		},
		UpdateFunc: func(oldItem, newItem any) {
			old, okOld := oldItem.(*unstructured.Unstructured)
			obj, okNew := newItem.(*unstructured.Unstructured)
			if okOld && okNew && !sameFields(old, obj) {
				tell(old, obj)
			}
		},
		DeleteFunc: func(item any) {
			if tombstone, ok := item.(cache.DeletedFinalStateUnknown); ok {
				item = tombstone.Obj
			}
			if old, ok := item.(*unstructured.Unstructured); ok {
				tell(old, nil)
			}
		},
	}
}

// sameFields compares what the mask kept, except the versions that change with
// every write.
func sameFields(a, b *unstructured.Unstructured) bool {
	if a.GetResourceVersion() == b.GetResourceVersion() {
		return true
	}
	return reflect.DeepEqual(withoutVersions(a.Object), withoutVersions(b.Object))
}

func withoutVersions(content map[string]any) map[string]any {
	out := make(map[string]any, len(content))
	maps.Copy(out, content)
	if meta, ok := content["metadata"].(map[string]any); ok {
		kept := make(map[string]any, len(meta))
		for key, value := range meta {
			if key != "resourceVersion" && key != "generation" && key != "managedFields" {
				kept[key] = value
			}
		}
		out["metadata"] = kept
	}
	return out
}

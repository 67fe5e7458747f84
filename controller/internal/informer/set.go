package informer

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"github.com/mainstay-dev/mainstay/controller/internal/expr"
)

// Wants maps each resource that a consumer reads to the fields it reads.
type Wants map[schema.GroupVersionResource]expr.Mask

// Handler is told what changed. Its methods are called from the informers'
// goroutines and must return quickly.
type Handler interface {
	// ResourcesChanged: the API server serves other resources than before, or all of them are
	// known now, or are not.
	ResourcesChanged()
	// StateChanged: a wanted resource has another state than before.
	StateChanged(gvr schema.GroupVersionResource)
	// Replaced: the objects of a synced resource were listed anew, with other
	// fields. What changed in between may not have been told.
	Replaced(gvr schema.GroupVersionResource)
	// ObjectChanged: an object of a synced resource came (old is nil), changed
	// in a field that somebody reads, or went (obj is nil).
	ObjectChanged(gvr schema.GroupVersionResource, old, obj *unstructured.Unstructured)
}

// Clients are what a Set reads the API server with.
type Clients struct {
	Dynamic   dynamic.Interface
	Metadata  metadata.Interface
	Discovery discovery.DiscoveryInterface
}

// Set runs the informers. It is a manager.Runnable that needs no leadership.
type Set struct {
	clients Clients
	log     logr.Logger
	refresh chan struct{}
	// unsettled says that somebody wants something else than before.
	unsettled chan struct{}

	mu       sync.RWMutex
	ctx      context.Context //nolint:containedctx // informers live as long as Start's context, not the caller's of Apply
	handlers []Handler
	// complete says that resources are all that is served, and down are the groups and
	// versions that did not answer.
	complete  bool
	down      sets.Set[schema.GroupVersion]
	resources map[schema.GroupVersionResource]Resource
	// paths are resources, and what cannot be listed: subresources among them,
	// as in deployments/scale.
	paths map[schema.GroupVersionResource]Resource
	// missing is since when the API server does not say that it serves one of them.
	missing map[schema.GroupVersionResource]time.Time
	wants   map[string]Wants
	watches map[schema.GroupVersionResource]*watch
	// successors list more fields than the watch that they replace once they
	// are synced: until then what was known goes on being read.
	successors map[schema.GroupVersionResource]*watch
	// resting are the resources a list of which was broken off just now.
	resting map[schema.GroupVersionResource]bool
}

// New returns a Set that reads nothing before Start is called.
func New(clients Clients, log logr.Logger) *Set {
	return &Set{
		clients: clients,
		log:     log,
		refresh: make(chan struct{}, 1),

		unsettled: make(chan struct{}, 1),

		wants:   map[string]Wants{},
		watches: map[schema.GroupVersionResource]*watch{},

		successors: map[schema.GroupVersionResource]*watch{},
		resting:    map[schema.GroupVersionResource]bool{},
	}
}

// NeedLeaderElection is false: caches are warm on every replica.
func (s *Set) NeedLeaderElection() bool { return false }

// Handle adds a handler. What happened before is not told again.
func (s *Set) Handle(h Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlers = append(slices.Clone(s.handlers), h)
}

// Discovered says whether the API server's resources are known yet.
func (s *Set) Discovered() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.resources != nil
}

// Resources returns what the API server serves, sorted by group, version and
// resource.
func (s *Set) Resources() []Resource {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return sorted(s.resources)
}

// Paths returns all that the API server serves requests about, sorted by group,
// version and resource: Resources, those that cannot be listed, and
// subresources, whose resource is like deployments/scale.
func (s *Set) Paths() []Resource {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return sorted(s.paths)
}

func sorted(resources map[schema.GroupVersionResource]Resource) []Resource {
	return slices.SortedFunc(maps.Values(resources), func(a, b Resource) int {
		return strings.Compare(a.String(), b.String())
	})
}

// Apply declares what a consumer wants from now on. An empty Wants ends it.
func (s *Set) Apply(consumer string, wants Wants) {
	s.mu.Lock()
	if len(wants) == 0 {
		delete(s.wants, consumer)
	} else {
		s.wants[consumer] = wants
	}
	s.mu.Unlock()
	s.unsettle()
}

// unsettle has the informers settled soon.
func (s *Set) unsettle() {
	select {
	case s.unsettled <- struct{}{}:
	default: // one is under way already
	}
}

// State returns the state of a resource as far as one consumer is concerned: it
// is synced when all the fields that the consumer wants are.
func (s *Set) State(consumer string, gvr schema.GroupVersionResource) State {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if w, ok := s.watches[gvr]; ok {
		if want, wanted := s.wants[consumer][gvr]; wanted && !covers(w.mask, want) {
			// Its fields come with the successor, or after what has to be synced first.
			if state := cmp.Or(s.successors[gvr], w).currentState(); state.Phase != Synced {
				return state
			}
			return listing(gvr)
		}
		return w.currentState()
	}
	if _, served := s.resources[gvr]; s.resources != nil && !served {
		return absent(gvr)
	}
	return listing(gvr)
}

// Get returns an object from the cache, or nil. It must not be changed.
func (s *Set) Get(gvr schema.GroupVersionResource, namespace, name string) *unstructured.Unstructured {
	indexer := s.indexer(gvr)
	if indexer == nil {
		return nil
	}
	key := name
	if namespace != "" {
		key = namespace + "/" + name
	}
	item, found, err := indexer.GetByKey(key)
	if err != nil || !found {
		return nil
	}
	obj, _ := item.(*unstructured.Unstructured)
	return obj
}

// List returns the objects of a namespace, or all with an empty namespace, in
// no order. They must not be changed.
func (s *Set) List(gvr schema.GroupVersionResource, namespace string) []*unstructured.Unstructured {
	indexer := s.indexer(gvr)
	if indexer == nil {
		return nil
	}
	var items []any
	if namespace == "" {
		items = indexer.List()
	} else if found, err := indexer.ByIndex(cache.NamespaceIndex, namespace); err == nil {
		items = found
	}
	objs := make([]*unstructured.Unstructured, 0, len(items))
	for _, item := range items {
		if obj, ok := item.(*unstructured.Unstructured); ok {
			objs = append(objs, obj)
		}
	}
	return objs
}

func (s *Set) indexer(gvr schema.GroupVersionResource) cache.Indexer {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if w, ok := s.watches[gvr]; ok {
		return w.informer.GetIndexer()
	}
	return nil
}

// Down says whether the API server did not say, when it was asked last, what it serves of a
// group and version: one whose own server does not answer.
func (s *Set) Down(gv schema.GroupVersion) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.down.Has(gv)
}

// Complete says whether the API server's last answer had all that it serves.
func (s *Set) Complete() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.complete
}

// Start discovers what the API server serves and keeps the informers in line
// with what is wanted until ctx ends.
func (s *Set) Start(ctx context.Context) error {
	s.mu.Lock()
	s.ctx = ctx
	s.mu.Unlock()

	if err := s.followDefinitions(ctx); err != nil {
		return err
	}
	s.Refresh()
	// One pause at a time, however many changes ask for a discovery during it.
	var (
		retry <-chan time.Time
		pause time.Duration
		timed bool
	)
	for {
		select {
		case <-ctx.Done():
			s.stopAll()
			return nil
		case <-retry:
			timed = true
			s.Refresh()
		case <-s.unsettled:
			if wait(ctx, settlePause) {
				s.mu.Lock()
				changed := s.settle()
				s.mu.Unlock()
				s.notifyStates(changed)
			}
		case <-s.refresh:
			if !s.settleDown(ctx) {
				continue
			}
			if !timed {
				pause = 0 // a definition changed: what did not answer may do so soon
			}
			timed = false
			missed, partial, err := s.discover(ctx)
			if err != nil {
				s.log.Error(err, "cannot discover what the API server serves, trying again")
			}
			pause = pauseAfter(pause, missed, partial, err)
			retry = time.After(cmp.Or(pause, rediscovery))
		}
	}
}

// settleDown waits out a burst of changed definitions. It is false when ctx
// ended meanwhile.
func (s *Set) settleDown(ctx context.Context) bool {
	s.mu.RLock()
	first := s.resources == nil
	s.mu.RUnlock()
	return first || wait(ctx, discoveryPause)
}

// wait is false when ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// settle starts, replaces and stops informers until they are those that are
// wanted and served. It returns the resources whose state changed. s.mu is
// held, so no informer that ends is waited for: its last events may be on their
// way to a handler that asks this set something.
func (s *Set) settle() []schema.GroupVersionResource {
	if s.ctx == nil || s.resources == nil {
		return nil
	}
	merged := Wants{}
	for _, wants := range s.wants {
		for gvr, mask := range wants {
			merged[gvr] = merged[gvr].Union(mask)
		}
	}
	var changed []schema.GroupVersionResource
	for gvr, w := range s.watches {
		_, wanted := merged[gvr]
		_, served := s.resources[gvr]
		if wanted && served {
			continue
		}
		s.stop(gvr, w)
		delete(s.watches, gvr)
		s.dropSuccessor(gvr)
		changed = append(changed, gvr)
	}
	for gvr, mask := range merged {
		if _, served := s.resources[gvr]; served && s.settleOne(gvr, mask) {
			changed = append(changed, gvr)
		}
	}
	return changed
}

// settleOne has a resource listed with the fields of mask. A list that is under way ends
// first, and then there is another settle: if each new wish began it anew, one who changes
// theirs all the time would keep everybody waiting. One that hangs or fails would do so with
// other fields, too: the API server's timeouts end it, and the informer tries again.
func (s *Set) settleOne(gvr schema.GroupVersionResource, mask expr.Mask) (changed bool) {
	current, running := s.watches[gvr]
	successor, widening := s.successors[gvr]
	switch {
	case running && covers(current.mask, mask):
		// Fields that nobody reads any more are no reason to list anew: they
		// go with the next list that there is one for.
		s.dropSuccessor(gvr)
	case widening && !s.takesAway(gvr, current, successor):
	case widening:
		// This happens once: the next one has all that there is.
		successor.cancel()
		s.successors[gvr] = s.startWatch(s.ctx, gvr, mask.Union(current.mask))
	case s.resting[gvr]:
	case !running:
		s.watches[gvr] = s.startWatch(s.ctx, gvr, mask)
		return true
	case current.currentState().Phase == Synced:
		s.successors[gvr] = s.startWatch(s.ctx, gvr, mask)
	}
	return false
}

// covers says whether a mask keeps all that is wanted.
func covers(mask, want expr.Mask) bool { return mask.Union(want).Equal(mask) }

// takesAway says whether somebody who can read now could not once the successor is
// promoted: what they want came to be wanted after it began.
func (s *Set) takesAway(gvr schema.GroupVersionResource, current, successor *watch) bool {
	for _, wants := range s.wants {
		if want, wanted := wants[gvr]; wanted && covers(current.mask, want) && !covers(successor.mask, want) {
			return true
		}
	}
	return false
}

// stop ends a watch that nobody needs any more. After a list that is not finished the
// resource rests: to wish for it by turns must not have the API server begin list after list.
func (s *Set) stop(gvr schema.GroupVersionResource, w *watch) {
	w.cancel()
	if w.finished() || s.resting[gvr] {
		return
	}
	s.resting[gvr] = true
	time.AfterFunc(restPause, func() {
		s.mu.Lock()
		delete(s.resting, gvr)
		s.mu.Unlock()
		s.unsettle()
	})
}

func (s *Set) dropSuccessor(gvr schema.GroupVersionResource) {
	if successor, ok := s.successors[gvr]; ok {
		s.stop(gvr, successor)
		delete(s.successors, gvr)
	}
}

// promote puts a successor that is synced in the place of its predecessor.
// What the predecessor had seen and not told yet is lost with it, so every
// reader is told to look at everything.
func (s *Set) promote(gvr schema.GroupVersionResource, w *watch) {
	s.mu.Lock()
	promoted := s.successors[gvr] == w
	if promoted {
		delete(s.successors, gvr)
		if current, ok := s.watches[gvr]; ok {
			current.cancel()
		}
		s.watches[gvr] = w
	}
	s.mu.Unlock()
	if promoted {
		for _, h := range s.listeners() {
			h.Replaced(gvr)
		}
	}
}

// stopAll ends all watches. What they read stays readable: a replica that lost its Lease goes
// on judging by it for as long as callers need to find another one.
func (s *Set) stopAll() {
	s.mu.RLock()
	watches := slices.AppendSeq(slices.Collect(maps.Values(s.watches)), maps.Values(s.successors))
	s.mu.RUnlock()
	for _, w := range watches {
		w.cancel()
		<-w.done
	}
}

func (s *Set) notifyStates(changed []schema.GroupVersionResource) {
	for _, gvr := range changed {
		for _, h := range s.listeners() {
			h.StateChanged(gvr)
		}
	}
}

func (s *Set) listeners() []Handler {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.handlers
}

package webhook

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/clock"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
	"github.com/mainstay-dev/mainstay/controller/internal/metrics"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

const (
	// minPause and maxPause bound how long changes are gathered between two
	// rounds of making lists, and idleShare is how much longer than a round the
	// pause after it is: making lists takes a quarter of a core at most.
	minPause  = 2 * time.Millisecond
	maxPause  = time.Second
	idleShare = 3
)

// namespaces is where the labels and contents of Namespaces are.
var namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"} //nolint:gochecknoglobals // a constant in all but the language

// Objects are the cached objects that rules refer to.
type Objects interface {
	Handle(informer.Handler)
	Apply(consumer string, wants informer.Wants)
	Discovered() bool
	Resources() []informer.Resource
	State(consumer string, gvr schema.GroupVersionResource) informer.State
	Get(gvr schema.GroupVersionResource, namespace, name string) *unstructured.Unstructured
	List(gvr schema.GroupVersionResource, namespace string) []*unstructured.Unstructured
}

// Engine judges requests. It is a manager.Runnable that needs no leadership.
type Engine struct {
	objects  Objects
	compiler *expr.Compiler
	clock    clock.PassiveClock
	metrics  *metrics.Metrics

	// applying orders what the engine wants of objects. It is taken before mu
	// and never from a handler of object changes.
	applying sync.Mutex

	// mu is never taken by a review.
	mu    sync.Mutex
	rules map[rule.Key]*state
	// expected are rules that exist and were not seen yet; nil where nobody said
	// which do.
	expected map[rule.Key]struct{}
	sources  map[sourceKey]*source
	changes  changes
	wake     chan struct{}

	// current, known and the sources' lists are what reviews read.
	current atomic.Pointer[snapshot]
	known   sync.Map // Namespaces by name, as *unstructured.Unstructured
	// ready is true once all rules that exist were in current.
	ready atomic.Bool

	room  *room
	turns turns
	// compiling is the turn of the rules that are applied. Nothing else waits for it.
	compiling *semaphore.Weighted
}

var _ informer.Handler = (*Engine)(nil)

// changes are what the next round looks at.
type changes struct {
	// rules says that rules, resources or their states are others.
	rules bool
	// allNamespaces and namespaces are the Namespaces to read again.
	allNamespaces bool
	namespaces    map[string]struct{}
	// sources are the lists to make again.
	sources map[*source]*stale
}

// stale are lists of a source: all, or those of some namespaces.
type stale struct {
	all        bool
	namespaces map[string]struct{}
}

// NewEngine returns an Engine without rules.
func NewEngine(objects Objects, compiler *expr.Compiler, clk clock.PassiveClock, m *metrics.Metrics) *Engine {
	e := &Engine{
		objects:   objects,
		compiler:  compiler,
		clock:     clk,
		metrics:   m,
		rules:     map[rule.Key]*state{},
		sources:   map[sourceKey]*source{},
		wake:      make(chan struct{}, 1),
		room:      newRoom(bodiesRoom, decodedRoom),
		compiling: semaphore.NewWeighted(1),
	}
	e.current.Store(&snapshot{})
	e.change(func(c *changes) { c.rules = true })
	objects.Handle(e)
	return e
}

// NeedLeaderElection is false: every replica decides.
func (e *Engine) NeedLeaderElection() bool { return false }

// Start makes lists as objects change until ctx ends.
func (e *Engine) Start(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.wake:
		}
		start := time.Now()
		e.round()
		timer := time.NewTimer(min(max(idleShare*time.Since(start), minPause), maxPause))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// Expect names the rules that exist. Before each of them was set or removed the
// engine is not synced, and afterwards a rule is judged as soon as its own
// references can be read, whatever others wait for. It is called again until all of them
// were seen: one that was deleted meanwhile may never be removed, as nobody set it.
func (e *Engine) Expect(keys []rule.Key) {
	e.change(func(c *changes) {
		c.rules = true
		e.expected = map[rule.Key]struct{}{}
		for _, key := range keys {
			if _, seen := e.rules[key]; !seen {
				e.expected[key] = struct{}{}
			}
		}
	})
}

// Expects says whether some of the rules that exist were not seen yet.
func (e *Engine) Expects() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.expected) > 0
}

// Synced says whether all rules that the engine knows of can be evaluated: what
// the API server serves is known, and of what it serves everything that they
// refer to is read.
func (e *Engine) Synced() bool { return e.current.Load().synced }

// SetRule takes a rule in, or a new generation of it. The same generation again
// changes nothing. One that cannot be enforced, or needs no webhook, leaves what was
// enforced before, unless it asks for nothing to be; one whose references cannot be read
// leaves it until they can.
func (e *Engine) SetRule(key rule.Key, uid types.UID, generation int64, spec *v1alpha1.RuleSpec) {
	e.mu.Lock()
	have := e.rules[key]
	e.mu.Unlock()
	if have != nil && have.uid == uid && have.generation == generation {
		return
	}

	var compiled *rule.Rule // nil for one that asks for nothing
	var mistakes field.ErrorList
	if !spec.Suspend && rule.HasMode(spec, v1alpha1.ModeAdmission) {
		compiled, mistakes = rule.Compile(e.compiler, key, generation, spec)
	}
	e.applying.Lock()
	defer e.applying.Unlock()
	e.mu.Lock()
	have = e.rules[key]
	e.mu.Unlock()
	earlier := have
	if have != nil && have.uid != uid {
		earlier = nil
	}
	s, by := &state{uid: uid, generation: generation}, e.current.Load().rules[key]
	switch inForce := earlier.judged(by); {
	case compiled == nil && len(mistakes) == 0:
	case len(mistakes) == 0 && policy.Check(compiled) == nil && policy.NeedsWebhook(compiled):
		s.rule, s.before = compiled, inForce.readBy(by, e.clock.Now())
	case inForce != nil:
		s.rule = inForce.rule
		s.former = inForce.rule != nil && len(mistakes) == 0 // until ReleaseRule
	}
	s.follow(earlier)
	e.replace(key, have, s)
}

// replace has one state of a rule in place of another; nil is for none. e.applying is
// held.
func (e *Engine) replace(key rule.Key, have, s *state) {
	wanted := map[string]struct{}{}
	for one := s; one != nil; one = one.before {
		if one.rule != nil {
			// What is wanted is said first: a state that is read afterwards is about it.
			e.objects.Apply(Consumer(one.rule), one.resolve(e.objects))
			wanted[Consumer(one.rule)] = struct{}{}
		}
	}
	e.mu.Lock()
	if s != nil {
		e.rules[key] = s
	} else {
		delete(e.rules, key)
	}
	delete(e.expected, key)
	e.mu.Unlock()
	for one := have; one != nil; one = one.before {
		if one.rule == nil {
			continue
		}
		if _, still := wanted[Consumer(one.rule)]; !still {
			e.objects.Apply(Consumer(one.rule), nil)
		}
	}
	e.change(func(c *changes) { c.rules = true })
}

// ReleaseRule takes that a generation of a rule is enforced, by policies or the webhook:
// soon requests are not judged by a former one any more.
func (e *Engine) ReleaseRule(key rule.Key, uid types.UID, generation int64, by v1alpha1.Enforcement) {
	held := func() *state {
		e.mu.Lock()
		defer e.mu.Unlock()
		s := e.rules[key]
		if s == nil || s.uid != uid || s.generation != generation {
			return nil
		}
		if by == v1alpha1.EnforcementInProcess && s.former || by == v1alpha1.EnforcementWebhook && s.before != nil {
			return s
		}
		return nil
	}
	if held() == nil {
		return
	}
	time.AfterFunc(policy.Settling, func() {
		e.applying.Lock()
		defer e.applying.Unlock()
		switch s := held(); {
		case s == nil:
		case s.former:
			e.replace(key, s, &state{uid: uid, generation: generation})
		default:
			e.replace(key, s, s.alone())
		}
	})
}

// RemoveRule forgets a rule.
func (e *Engine) RemoveRule(key rule.Key) {
	e.applying.Lock()
	defer e.applying.Unlock()
	e.mu.Lock()
	have := e.rules[key]
	e.mu.Unlock()
	e.replace(key, have, nil)
}

// InForce returns what requests are judged by for a rule, nil for nothing. It is a
// former generation where the present one does not compile, needs no webhook, or refers to
// what cannot be read yet.
func (e *Engine) InForce(key rule.Key) *rule.Rule {
	if active := e.current.Load().rules[key]; active != nil {
		return active.rule
	}
	return nil
}

// Consumer is the name of a generation of a rule among those who want objects.
func Consumer(r *rule.Rule) string { return fmt.Sprintf("webhook/%s/%d", r.Key(), r.Generation()) }

// ResourcesChanged resolves all rules again. Without any rule there is a round, too: before
// it is known what the API server serves no replica is ready.
func (e *Engine) ResourcesChanged() {
	e.applying.Lock()
	defer e.applying.Unlock()
	e.mu.Lock()
	rules := maps.Clone(e.rules)
	e.mu.Unlock()
	for key, s := range rules {
		e.replace(key, s, s.unresolved())
	}
	e.change(func(c *changes) { c.rules = true })
}

// StateChanged looks again at which rules can be evaluated, and makes all lists
// of the resource again: it may have gone and come back since the last round.
func (e *Engine) StateChanged(gvr schema.GroupVersionResource) {
	e.change(func(c *changes) {
		c.rules = true
		e.allOf(gvr, c)
	})
}

// Replaced makes all lists of the resource again.
func (e *Engine) Replaced(gvr schema.GroupVersionResource) {
	e.change(func(c *changes) { e.allOf(gvr, c) })
}

// allOf notes that all lists of a resource are to be made again. e.mu is held.
func (e *Engine) allOf(gvr schema.GroupVersionResource, c *changes) {
	c.allNamespaces = c.allNamespaces || gvr == namespaces
	for _, s := range e.sources {
		if s.Resource == gvr {
			c.source(s).all = true
		}
	}
}

// ObjectChanged makes the lists again that the object is or was on.
func (e *Engine) ObjectChanged(gvr schema.GroupVersionResource, old, obj *unstructured.Unstructured) {
	at := cmp.Or(obj, old)
	e.change(func(c *changes) {
		if gvr == namespaces {
			c.namespace(at.GetName())
		}
		for _, s := range e.sources {
			if s.Resource == gvr && (s.lists(old) || s.lists(obj)) {
				c.source(s).namespace(s.keyOf(at.GetNamespace()))
			}
		}
	})
}

// change notes a change for the next round.
func (e *Engine) change(note func(*changes)) {
	e.mu.Lock()
	note(&e.changes)
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default: // a round is coming already
	}
}

func (c *changes) source(s *source) *stale {
	if c.sources == nil {
		c.sources = map[*source]*stale{}
	}
	if c.sources[s] == nil {
		c.sources[s] = &stale{}
	}
	return c.sources[s]
}

func (c *changes) namespace(name string) {
	if c.namespaces == nil {
		c.namespaces = map[string]struct{}{}
	}
	c.namespaces[name] = struct{}{}
}

func (s *stale) namespace(name string) {
	if s.namespaces == nil {
		s.namespaces = map[string]struct{}{}
	}
	s.namespaces[name] = struct{}{}
}

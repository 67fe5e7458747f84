package audit

import (
	"cmp"
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
	"github.com/mainstay-dev/mainstay/controller/internal/metrics"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// workers evaluate different rules side by side. One rule is evaluated by one
// worker at a time, so that an older result never replaces a newer one.
const workers = 2

// namespaces is where the labels that a namespaceSelector looks at are.
var namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"} //nolint:gochecknoglobals // a constant in all but the language

// Objects are the cached objects that rules are evaluated on.
type Objects interface {
	Handle(informer.Handler)
	Apply(consumer string, wants informer.Wants)
	Discovered() bool
	Resources() []informer.Resource
	State(consumer string, gvr schema.GroupVersionResource) informer.State
	Get(gvr schema.GroupVersionResource, namespace, name string) *unstructured.Unstructured
	List(gvr schema.GroupVersionResource, namespace string) []*unstructured.Unstructured
}

// Engine evaluates rules. It is a manager.Runnable that needs no leadership.
type Engine struct {
	objects  Objects
	compiler *expr.Compiler
	clock    clock.PassiveClock
	metrics  *metrics.Metrics
	queue    workqueue.TypedDelayingInterface[rule.Key]

	// applying orders what the engine wants of objects. It is taken before mu
	// and never from a handler of object changes.
	applying sync.Mutex

	mu    sync.Mutex
	rules map[rule.Key]*state
	// readers are the rules that read a resource: a change looks at those only.
	readers   map[schema.GroupVersionResource][]rule.Key
	listeners []func(rule.Key)
}

var _ informer.Handler = (*Engine)(nil)

// NewEngine returns an Engine without rules.
func NewEngine(objects Objects, compiler *expr.Compiler, clk clock.WithTicker, m *metrics.Metrics) *Engine {
	e := &Engine{
		objects:  objects,
		compiler: compiler,
		clock:    clk,
		metrics:  m,
		queue: workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[rule.Key]{
			Name: "audit", Clock: clk,
		}),
		rules: map[rule.Key]*state{},
	}
	objects.Handle(e)
	return e
}

// NeedLeaderElection is false: a standby's findings are as fresh as the
// leader's.
func (e *Engine) NeedLeaderElection() bool { return false }

// Start evaluates what is pending until ctx ends.
func (e *Engine) Start(ctx context.Context) error {
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				key, shutdown := e.queue.Get()
				if shutdown {
					return
				}
				e.evaluate(ctx, key)
				e.queue.Done(key)
			}
		})
	}
	<-ctx.Done()
	e.queue.ShutDown()
	wg.Wait()
	return nil
}

// OnChange has f called with the key of each rule whose Report may have
// changed. It must return quickly.
func (e *Engine) OnChange(f func(rule.Key)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.listeners = append(e.listeners, f)
}

// SetRule takes a rule in, or a new generation of it. The same generation
// again changes nothing.
func (e *Engine) SetRule(key rule.Key, uid types.UID, generation int64, spec *v1alpha1.RuleSpec) {
	e.mu.Lock()
	have := e.rules[key]
	e.mu.Unlock()
	if have != nil && have.uid == uid && have.generation == generation {
		return
	}

	s := &state{uid: uid, generation: generation, since: e.clock.Now(), suspended: spec.Suspend, severity: spec.Severity}
	s.rule, s.mistakes = rule.Compile(e.compiler, key, generation, spec)
	if s.rule != nil {
		s.refusal = policy.Check(s.rule)
	}

	e.applying.Lock()
	e.mu.Lock()
	e.rules[key] = s
	wants := s.resolve(e.objects)
	e.index()
	e.mu.Unlock()
	e.objects.Apply(key.String(), wants)
	e.applying.Unlock()

	e.schedule(key)
	e.notify(key)
}

// RemoveRule forgets a rule.
func (e *Engine) RemoveRule(key rule.Key) {
	e.applying.Lock()
	e.mu.Lock()
	delete(e.rules, key)
	e.index()
	e.mu.Unlock()
	e.objects.Apply(key.String(), nil)
	e.applying.Unlock()
	e.notify(key)
}

// ResourcesChanged resolves all rules again.
func (e *Engine) ResourcesChanged() {
	e.applying.Lock()
	defer e.applying.Unlock()
	e.mu.Lock()
	wants := make(map[rule.Key]informer.Wants, len(e.rules))
	for key, s := range e.rules {
		wants[key] = s.resolve(e.objects)
	}
	e.index()
	e.mu.Unlock()
	for key, w := range wants {
		e.objects.Apply(key.String(), w)
		e.schedule(key)
		e.notify(key)
	}
}

// StateChanged evaluates what waited for a kind, and reports what lost one.
func (e *Engine) StateChanged(gvr schema.GroupVersionResource) {
	e.mu.Lock()
	var affected []rule.Key
	for _, key := range e.readers[gvr] {
		s := e.rules[key]
		affected = append(affected, key)
		if s.waiting || e.objects.State(key.String(), gvr).Phase != informer.Synced {
			s.pending.everything()
			e.queue.Add(key)
		}
	}
	e.mu.Unlock()
	for _, key := range affected {
		e.notify(key)
	}
}

// Replaced evaluates everything that reads the resource.
func (e *Engine) Replaced(gvr schema.GroupVersionResource) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, key := range e.readers[gvr] {
		e.rules[key].pending.everything()
		e.queue.Add(key)
	}
}

// ObjectChanged evaluates what depends on the object.
func (e *Engine) ObjectChanged(gvr schema.GroupVersionResource, old, obj *unstructured.Unstructured) {
	at := cmp.Or(obj, old)
	namespace, name := at.GetNamespace(), at.GetName()

	e.mu.Lock()
	defer e.mu.Unlock()
	for _, key := range e.readers[gvr] {
		if key.Namespace != "" && namespace != "" && key.Namespace != namespace {
			continue // a Rule sees its own namespace only
		}
		s := e.rules[key]
		before := s.pending.empty()
		if s.audits(gvr) {
			s.pending.object(objectRef{gvr: gvr, namespace: namespace, name: name})
		}
		if gvr == namespaces && s.usable() && s.rule.NeedsNamespace() {
			s.pending.namespace(name)
		}
		for _, ref := range s.references {
			if ref.Resource != gvr || !selected(ref.Selector, old, obj) {
				continue
			}
			if ref.Namespaces.Same && namespace != "" {
				s.pending.namespace(namespace)
			} else if ref.Namespaces.Same || ref.Namespaces.All || ref.Namespaces.Include(namespace, "") {
				s.pending.everything()
			}
		}
		if before && !s.pending.empty() {
			e.queue.Add(key)
		}
	}
}

func selected(selector labels.Selector, objs ...*unstructured.Unstructured) bool {
	for _, obj := range objs {
		if obj != nil && selector.Matches(labels.Set(obj.GetLabels())) {
			return true
		}
	}
	return false
}

// index finds the readers of each resource anew. e.mu is held.
func (e *Engine) index() {
	e.readers = map[schema.GroupVersionResource][]rule.Key{}
	for key, s := range e.rules {
		for _, gvr := range s.reads() {
			e.readers[gvr] = append(e.readers[gvr], key)
		}
	}
}

// schedule has everything of a rule evaluated.
func (e *Engine) schedule(key rule.Key) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s, ok := e.rules[key]; ok {
		s.pending.everything()
		e.queue.Add(key)
	}
}

func (e *Engine) notify(key rule.Key) {
	e.mu.Lock()
	listeners := e.listeners
	e.mu.Unlock()
	for _, f := range listeners {
		f(key)
	}
}

// wait brings a rule back when the next exception lapses that held when what is recorded
// was planned: a pass takes a while, and one may lapse during it. e.mu is not held.
func (e *Engine) wait(key rule.Key, s *state, now time.Time) {
	next, ok := s.rule.NextExpiry(s.planned)
	e.mu.Lock()
	s.expires = next
	e.mu.Unlock()
	if ok {
		e.queue.AddAfter(key, next.Sub(now))
	}
}

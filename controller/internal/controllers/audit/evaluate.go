package audit

import (
	"context"
	"reflect"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/mainstay-dev/mainstay/controller/internal/informer"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// slice is how long one rule is evaluated before others get their turn: a rule
// that is slow on many objects delays itself.
const slice = 100 * time.Millisecond

// evaluate does what is pending for one rule, for one slice of time. What becomes
// pending meanwhile waits until all that is planned was looked at: so the plan is never
// longer than the objects that there are, and a rule whose objects never rest has a result
// all the same.
func (e *Engine) evaluate(ctx context.Context, key rule.Key) {
	now := e.clock.Now()
	e.mu.Lock()
	s, ok := e.rules[key]
	if !ok {
		e.mu.Unlock()
		return
	}
	b := &batch{engine: e, state: s, key: key, now: now}
	if blocked, passes := b.look(); blocked {
		// What ends it, StateChanged or ResourcesChanged, brings the rule back.
		lost := s.hold(passes)
		e.mu.Unlock()
		if lost {
			e.notify(key)
		}
		return
	}
	todo := s.take(now, e.objects)
	again := s.expires.Sub(now)
	e.mu.Unlock()

	b.plan(todo)
	if len(s.backlog) == 0 && todo.empty() && (s.found != nil || b.early() > 0) {
		if again > 0 {
			// What was to bring the rule back came early: a clock was set back.
			e.queue.AddAfter(key, again)
		}
		return
	}
	start := time.Now()
	count := b.run(ctx, start.Add(slice))
	if ctx.Err() != nil {
		return
	}
	e.metrics.EvaluationSeconds.Observe(time.Since(start).Seconds())
	ctrl.LoggerFrom(ctx).V(1).Info("evaluated", "rule", key.String(), "objects", count, "left", len(s.backlog))
	e.publish(b)
}

// publish makes known what was found. A first pass is not shown in part, nor for a while where
// a kind is being listed: its counts would say less than the truth.
func (e *Engine) publish(b *batch) {
	key, s := b.key, b.state
	left := len(s.backlog) > 0
	e.mu.Lock()
	first := s.found == nil
	if left || !s.pending.empty() {
		e.queue.Add(key)
	}
	e.mu.Unlock()
	if early := b.early(); first && (left || early > 0) {
		if !left {
			e.queue.AddAfter(key, early)
		}
		return
	}
	result := s.records.result()
	e.mu.Lock()
	changed := !reflect.DeepEqual(s.found, result)
	s.found = result
	e.mu.Unlock()
	e.wait(key, s, b.now)
	if changed {
		e.notify(key)
	}
}

// batch is one slice of the evaluation of one rule.
type batch struct {
	engine *Engine
	state  *state
	key    rule.Key
	now    time.Time

	// list are the matched resources whose objects can be seen, and gone those
	// whose objects cannot be seen any more. A resource that is being listed is
	// in neither, and listing is true: what is known of it stays.
	list, gone map[schema.GroupVersionResource]rule.APIResource
	listing    bool
}

// early is for how long a first result would be too early, as a kind is being listed.
func (b *batch) early() time.Duration {
	if !b.listing {
		return 0
	}
	return b.state.settles(b.engine.clock.Now())
}

// look finds out what can be seen of what the rule reads. It is blocked where nothing can be
// evaluated; passes says that this is a matter of time. The engine's mu is held.
func (b *batch) look() (blocked, passes bool) {
	s := b.state
	if !s.usable() {
		return true, false
	}
	b.sort(s.matches)
	unread := len(b.list) == 0 && !b.listing
	blocked = unread
	for _, gvr := range s.background() {
		switch b.engine.objects.State(b.key.String(), gvr).Phase {
		case informer.Synced:
		case informer.Syncing:
			blocked = true
		case informer.Absent, informer.Forbidden:
			blocked, unread = true, true
		}
	}
	waits := blocked || len(b.list) < len(s.matches)
	if s.waiting && !waits {
		// The StateChanged of what was waited for comes after the state, and finds nobody
		// waiting.
		s.pending.everything()
	}
	s.waiting, s.unread = waits, unread
	return blocked, !unread
}

// sort fills in list, gone and listing.
func (b *batch) sort(matches []rule.APIResource) {
	b.list = map[schema.GroupVersionResource]rule.APIResource{}
	b.gone = map[schema.GroupVersionResource]rule.APIResource{}
	for _, resource := range matches {
		switch b.engine.objects.State(b.key.String(), resource.GroupVersionResource).Phase {
		case informer.Synced:
			b.list[resource.GroupVersionResource] = resource
		case informer.Absent, informer.Forbidden:
			b.gone[resource.GroupVersionResource] = resource
		case informer.Syncing:
			b.listing = true
		}
	}
	for gvr := range b.state.records.outcomes {
		if !slices.ContainsFunc(matches, func(r rule.APIResource) bool { return r.GroupVersionResource == gvr }) {
			b.gone[gvr] = rule.APIResource{GroupVersionResource: gvr}
		}
	}
}

// plan turns what is pending into a list of objects to look at: those that are
// there, and those that were.
func (b *batch) plan(todo pending) {
	for gvr := range b.gone {
		b.state.records.forget(gvr)
	}
	for gvr := range b.list {
		switch {
		case todo.all:
			b.add(gvr, b.key.Namespace)
		default:
			for namespace := range todo.namespaces {
				b.add(gvr, namespace)
			}
		}
	}
	if todo.all {
		return
	}
	for ref := range todo.objects {
		if _, added := todo.namespaces[ref.namespace]; !added || ref.namespace == "" {
			b.state.backlog = append(b.state.backlog, ref)
		}
	}
}

// add plans the objects of a namespace, or all with an empty one.
func (b *batch) add(gvr schema.GroupVersionResource, namespace string) {
	seen := map[objectName]struct{}{}
	for _, obj := range b.engine.objects.List(gvr, namespace) {
		at := objectName{obj.GetNamespace(), obj.GetName()}
		seen[at] = struct{}{}
		b.state.backlog = append(b.state.backlog, objectRef{gvr: gvr, namespace: at.namespace, name: at.name})
	}
	for at := range b.state.records.outcomes[gvr] {
		if _, there := seen[at]; !there && (namespace == "" || at.namespace == namespace) {
			b.state.backlog = append(b.state.backlog, objectRef{gvr: gvr, namespace: at.namespace, name: at.name})
		}
	}
}

// run looks at planned objects until the deadline, at one at least, and returns
// at how many. Then those are planned whose message a status has room for.
func (b *batch) run(ctx context.Context, deadline time.Time) int {
	count := 0
	for _, ref := range b.state.backlog {
		if ctx.Err() != nil || (count > 0 && time.Now().After(deadline)) {
			break
		}
		count++
		if resource, visible := b.list[ref.gvr]; visible {
			b.object(ctx, resource, objectName{ref.namespace, ref.name})
		}
	}
	b.state.backlog = b.state.backlog[count:]
	if len(b.state.backlog) == 0 {
		b.state.backlog = b.state.records.refill()
	}
	if len(b.state.backlog) == 0 {
		b.state.refs = nil
	}
	return count
}

// object evaluates the rule on one object, as it is now.
func (b *batch) object(ctx context.Context, resource rule.APIResource, at objectName) {
	gvr := resource.GroupVersionResource
	obj := b.engine.objects.Get(gvr, at.namespace, at.name)
	if obj == nil {
		b.state.records.set(resource, at, "", nil)
		return
	}
	var (
		namespace map[string]any
		labels    map[string]string
	)
	if at.namespace != "" && b.state.rule.NeedsNamespace() {
		ns := b.engine.objects.Get(namespaces, "", at.namespace)
		if ns == nil {
			// The Namespace is not in the cache yet, or not any more: its own
			// event brings the object back.
			b.state.records.set(resource, at, "", nil)
			return
		}
		namespace, labels = ns.Object, ns.GetLabels()
	}
	if !b.state.rule.MatchesObject(gvr, obj, labels) {
		b.state.records.set(resource, at, "", nil)
		return
	}
	finding := b.state.rule.Evaluate(ctx, rule.Input{Object: obj, Resource: gvr, Namespace: namespace, Refs: b.state.refs, Now: b.now})
	if ctx.Err() != nil {
		return
	}
	if finding.Matched {
		b.engine.metrics.Evaluations.WithLabelValues(string(finding.Outcome)).Inc()
	}
	b.state.records.set(resource, at, obj.GetUID(), &finding)
}

package audit

import (
	"context"
	"reflect"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/mainstay-dev/mainstay/controller/internal/informer"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// evaluate does what is pending for one rule.
func (e *Engine) evaluate(ctx context.Context, key rule.Key) {
	now := e.clock.Now()
	e.mu.Lock()
	s, ok := e.rules[key]
	if !ok || !s.usable() {
		e.mu.Unlock()
		return
	}
	todo := s.pending
	s.pending = pending{}
	if !s.expires.IsZero() && !now.Before(s.expires) {
		todo.all = true
	}
	batch := &batch{engine: e, state: s, key: key, now: now, matches: s.matches, refs: newRefs(e.objects, s.references)}
	s.waiting = !batch.readable()
	blocked := slices.ContainsFunc(s.background(), func(gvr schema.GroupVersionResource) bool {
		return e.objects.State(key.String(), gvr).Phase != informer.Synced
	})
	s.waiting = s.waiting || blocked
	e.mu.Unlock()
	if todo.empty() || blocked {
		return // where blocked, the StateChanged that ends it schedules everything
	}

	start := time.Now()
	count := batch.run(logger(ctx, key), todo)
	if ctx.Err() != nil {
		return
	}
	result := s.records.result()
	e.metrics.EvaluationSeconds.Observe(time.Since(start).Seconds())
	ctrl.LoggerFrom(ctx).V(1).Info("evaluated", "rule", key.String(), "objects", count, "fail", result.summary.Fail, "error", result.summary.Error)

	e.mu.Lock()
	changed := !reflect.DeepEqual(s.found, result)
	s.found = result
	e.mu.Unlock()
	e.wait(key, s, now)
	if changed {
		e.notify(key)
	}
}

// batch is one run over what is pending for one rule.
type batch struct {
	engine  *Engine
	state   *state
	key     rule.Key
	matches []rule.APIResource
	refs    *refs
	now     time.Time

	// forget are resources whose objects cannot be seen any more, and list
	// those whose objects can.
	forget, list []rule.APIResource
}

// readable sorts the matched resources and says whether all can be read. A
// resource that is being listed stays as it is known until that is done.
func (b *batch) readable() bool {
	for _, resource := range b.matches {
		switch b.engine.objects.State(b.key.String(), resource.GroupVersionResource).Phase {
		case informer.Synced:
			b.list = append(b.list, resource)
		case informer.Absent, informer.Forbidden:
			b.forget = append(b.forget, resource)
		case informer.Syncing:
		}
	}
	return len(b.list) == len(b.matches)
}

// run evaluates and returns how many objects it looked at.
func (b *batch) run(ctx context.Context, todo pending) int {
	for gvr := range b.state.records.outcomes {
		if !slices.ContainsFunc(b.matches, func(r rule.APIResource) bool { return r.GroupVersionResource == gvr }) {
			b.state.records.forget(gvr)
		}
	}
	for _, resource := range b.forget {
		b.state.records.forget(resource.GroupVersionResource)
	}
	count := 0
	for _, resource := range b.list {
		if todo.all {
			b.state.records.forget(resource.GroupVersionResource)
			count += b.namespace(ctx, resource, "")
			continue
		}
		for namespace := range todo.namespaces {
			for _, at := range b.state.records.names(resource.GroupVersionResource, namespace) {
				b.state.records.set(resource, at, "", nil)
			}
			count += b.namespace(ctx, resource, namespace)
		}
		count += b.objects(ctx, resource, todo)
	}
	return count
}

// namespace evaluates the objects of a namespace, or all of them.
func (b *batch) namespace(ctx context.Context, resource rule.APIResource, namespace string) int {
	objs := b.engine.objects.List(resource.GroupVersionResource, namespace)
	for _, obj := range objs {
		if ctx.Err() != nil {
			return 0
		}
		b.object(ctx, resource, obj)
	}
	return len(objs)
}

func (b *batch) objects(ctx context.Context, resource rule.APIResource, todo pending) int {
	count := 0
	for ref := range todo.objects {
		if ref.gvr != resource.GroupVersionResource {
			continue
		}
		if _, done := todo.namespaces[ref.namespace]; done && ref.namespace != "" {
			continue
		}
		count++
		if obj := b.engine.objects.Get(ref.gvr, ref.namespace, ref.name); obj != nil {
			b.object(ctx, resource, obj)
		} else {
			b.state.records.set(resource, objectName{ref.namespace, ref.name}, "", nil)
		}
	}
	return count
}

// object evaluates the rule on one object.
func (b *batch) object(ctx context.Context, resource rule.APIResource, obj *unstructured.Unstructured) {
	at := objectName{obj.GetNamespace(), obj.GetName()}
	gvr := resource.GroupVersionResource
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
	finding := b.state.rule.Evaluate(ctx, rule.Input{Object: obj, Resource: gvr, Namespace: namespace, Refs: b.refs, Now: b.now})
	if ctx.Err() != nil {
		return
	}
	if finding.Matched {
		b.engine.metrics.Evaluations.WithLabelValues(string(finding.Outcome)).Inc()
	}
	b.state.records.set(resource, at, obj.GetUID(), &finding)
}

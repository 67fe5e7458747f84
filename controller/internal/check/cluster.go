package check

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/render"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// maxPerRule is how many objects of the cluster are reported for one rule; a
// note counts the rest.
const maxPerRule = 100

// Live is a running cluster. Nothing in it is changed.
type Live interface {
	// Resources that it serves.
	Resources(ctx context.Context) ([]rule.APIResource, error)
	// List all objects of one of them.
	List(ctx context.Context, gvr schema.GroupVersionResource) ([]*unstructured.Unstructured, error)
}

// Cluster evaluates the rules that are new in a render, or that differ from
// those in the cluster, on the objects of the cluster, and reports what they
// find and what the rule that is there now does not.
func (c *Checker) Cluster(ctx context.Context, path string, rendered *render.Result, live Live) (*Report, error) {
	r := &run{
		checker: c, in: path, objects: newObjects(rendered.Objects),
		report: &Report{Findings: []Finding{}}, seen: map[string]bool{},
	}
	set := r.found()
	// What is wrong with the rules themselves is said of the render.
	r.report.Findings = []Finding{}
	resources, err := live.Resources(ctx)
	if err != nil {
		return nil, err
	}
	world := &world{
		ctx: ctx, live: live, resources: resources, spent: c.spent,
		objects: map[schema.GroupVersionResource][]*object{}, lists: map[string]expr.List{},
	}
	now, err := world.rules()
	if err != nil {
		return nil, err
	}
	for i := range set.Rules {
		given := &set.Rules[i]
		old, known := now[given.key]
		if given.spec.Suspend || known && !old.spec.Suspend && equality.Semantic.DeepEqual(old.spec, given.spec) {
			continue
		}
		after, err := c.compile(given)
		if err != nil {
			continue
		}
		var before *rule.Rule
		if known && !old.spec.Suspend {
			// One that does not compile finds nothing now.
			before, _ = c.compile(&old)
		}
		if err := r.onCluster(world, given, before, after); err != nil {
			return nil, err
		}
	}
	r.report.sort()
	return r.report, nil
}

// onCluster evaluates a rule and the one that it replaces on the cluster.
func (r *run) onCluster(w *world, given *Rule, before, after *rule.Rule) error {
	reported, left := 0, 0
	for _, resource := range after.Resources(w.resources) {
		objects, err := w.of(resource)
		if err != nil {
			return err
		}
		for _, obj := range objects {
			found, err := w.evaluate(after, obj, r.checker)
			if err != nil {
				return err
			}
			if found == nil || found.Outcome == v1alpha1.OutcomeSkip {
				continue
			}
			if before != nil && before.MatchesResource(obj.resource, obj.namespaced) {
				was, err := w.evaluate(before, obj, r.checker)
				if err != nil {
					return err
				}
				if was != nil && was.Outcome == found.Outcome {
					continue
				}
			}
			if reported++; reported > maxPerRule {
				left++
				continue
			}
			f := Finding{
				Check: given.key.Name, Rule: given.key.String(), Severity: after.Severity(), Docs: given.docs,
				Object: obj.id(), Path: r.in, Line: 1, Cluster: true,
				Message: "the rule would newly report this object of the cluster: " + found.Message,
			}
			if given.origin.Path != "" {
				f.Path, f.Line = given.origin.Path, given.origin.Line
			}
			r.add(f, "cluster", f.Object)
		}
	}
	if left > 0 {
		r.note(Note{Check: given.key.Name, Message: fmt.Sprintf("%s would newly report %d more objects of the cluster", given.key, left)})
	}
	return nil
}

// world is the objects of a running cluster, listed when first asked for.
type world struct {
	ctx       context.Context
	live      Live
	resources []rule.APIResource
	objects   map[schema.GroupVersionResource][]*object
	lists     map[string]expr.List
	spent     *spending
	// failed is why a list that an expression asked for could not be had: that
	// is no fault of the object.
	failed error
}

var _ rule.Refs = (*world)(nil)

// of are the objects of a resource.
func (w *world) of(resource rule.APIResource) ([]*object, error) {
	if objects, known := w.objects[resource.GroupVersionResource]; known {
		return objects, nil
	}
	start := w.spent.clock.Now()
	listed, err := w.live.List(w.ctx, resource.GroupVersionResource)
	w.spent.waited += w.spent.clock.Since(start)
	if err != nil {
		return nil, err
	}
	objects := make([]*object, 0, len(listed))
	for _, obj := range listed {
		objects = append(objects, &object{Unstructured: obj, resource: resource.GroupVersionResource, namespaced: resource.Namespaced})
	}
	w.objects[resource.GroupVersionResource] = objects
	return objects, nil
}

// kind is the resource of a kind; false where the cluster does not serve it.
func (w *world) kind(gvk schema.GroupVersionKind) (rule.APIResource, bool) {
	for _, resource := range w.resources {
		if resource.GroupVersion() == gvk.GroupVersion() && resource.Kind == gvk.Kind {
			return resource, true
		}
	}
	return rule.APIResource{}, false
}

// List the objects that a reference is about. A kind that the cluster does not
// serve has none.
func (w *world) List(reference rule.Reference, namespace string) (expr.List, error) {
	key := referenceKey(reference, namespace)
	if list, known := w.lists[key]; known {
		return list, nil
	}
	var objects []*object
	if resource, served := w.kind(reference.GVK); served {
		var err error
		if objects, err = w.of(resource); err != nil {
			w.failed = err
			return expr.List{}, err
		}
	}
	list := expr.NewList(referred(objects, reference, namespace))
	w.lists[key] = list
	return list, nil
}

// namespace is the content of a Namespace, nil where there is none.
func (w *world) namespace(name string) (map[string]any, error) {
	resource, served := w.kind(schema.GroupVersionKind{Version: "v1", Kind: "Namespace"})
	if name == "" || !served {
		return nil, nil //nolint:nilnil // an object in no namespace has no Namespace
	}
	all, err := w.of(resource)
	if err != nil {
		return nil, err
	}
	for _, obj := range all {
		if obj.GetName() == name {
			return obj.Object, nil
		}
	}
	return nil, nil //nolint:nilnil // it went between two lists
}

// evaluate a rule on an object; nil where there is nothing to report.
func (w *world) evaluate(compiled *rule.Rule, obj *object, c *Checker) (*rule.Finding, error) {
	var namespace map[string]any
	if compiled.NeedsNamespace() {
		var err error
		if namespace, err = w.namespace(obj.GetNamespace()); err != nil {
			return nil, err
		}
	}
	labels := (&unstructured.Unstructured{Object: namespace}).GetLabels()
	if !compiled.MatchesObject(obj.resource, obj.Unstructured, labels) {
		return nil, nil //nolint:nilnil // the rule is not about it
	}
	finding, err := c.evaluate(w.ctx, compiled, rule.Input{
		Object: obj.Unstructured, Resource: obj.resource, Namespace: namespace, Refs: w, Now: c.opts.Now,
	})
	if err := errors.Join(w.ctx.Err(), w.failed); err != nil {
		return nil, fmt.Errorf("evaluate %s on the cluster: %w", compiled.Key(), err)
	}
	if err != nil {
		return nil, err
	}
	if !finding.Matched || finding.Outcome == v1alpha1.OutcomePass {
		return nil, nil //nolint:nilnil // it holds
	}
	return &finding, nil
}

// rules of the cluster, by key; none where it does not serve them.
func (w *world) rules() (map[rule.Key]Rule, error) {
	var set Set
	for _, kind := range []string{rule.KindClusterRule, rule.KindRule} {
		resource, served := w.kind(v1alpha1.GroupVersion.WithKind(kind))
		if !served {
			continue
		}
		all, err := w.of(resource)
		if err != nil {
			return nil, err
		}
		for _, obj := range all {
			if err := set.take(obj.Unstructured, "the cluster"); err != nil {
				return nil, fmt.Errorf("read %s of the cluster: %w", obj.id(), err)
			}
		}
	}
	out := map[rule.Key]Rule{}
	for _, r := range set.Rules {
		out[r.key] = r
	}
	return out, nil
}

package check

import (
	"errors"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/render"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// object is one object of the render as the API server would have it.
type object struct {
	*unstructured.Unstructured
	origin     render.Origin
	resource   schema.GroupVersionResource
	namespaced bool
	// plurals are what the resource may be called where nobody says it.
	plurals []string
	// variables that Flux substitutes by values that are not in Git.
	variables []string
	// encrypted is true where SOPS encrypted values of it.
	encrypted bool
}

// id is "apps/v1/Deployment ns/name".
func (o *object) id() string {
	name := o.GetName()
	if namespace := o.GetNamespace(); namespace != "" {
		name = namespace + "/" + name
	}
	return o.GetAPIVersion() + "/" + o.GetKind() + " " + name
}

// objects are all objects of a render, and what is asked of them more than once.
type objects struct {
	all        []*object
	byKind     map[schema.GroupVersionKind][]*object
	namespaces map[string]map[string]any
	lists      map[string]expr.List
}

// newObjects takes the objects of a render. Those that are in no namespace and
// belong in one are in default, where they would be created.
func newObjects(rendered []render.Object) *objects {
	served := servedByDefinitions(rendered)
	out := &objects{
		byKind:     map[schema.GroupVersionKind][]*object{},
		namespaces: map[string]map[string]any{},
		lists:      map[string]expr.List{},
	}
	for i := range rendered {
		gvk := rendered[i].Object.GroupVersionKind()
		resource, known := served[gvk.GroupKind()]
		var plurals []string
		if !known {
			resource, plurals = guess(gvk, rendered[i].Object.GetNamespace() != "")
		}
		o := &object{
			Unstructured: rendered[i].Object,
			origin:       rendered[i].Origin,
			resource:     gvk.GroupVersion().WithResource(resource.Resource),
			namespaced:   resource.Namespaced,
			plurals:      plurals,
			variables:    rendered[i].Variables,
		}
		o.decrypt()
		if o.namespaced && o.GetNamespace() == "" {
			o.Unstructured = o.DeepCopy()
			o.SetNamespace(corev1.NamespaceDefault)
		}
		if gvk.Group == "" && gvk.Kind == "Namespace" {
			o.Unstructured = withNameLabel(o.Unstructured)
			out.namespaces[o.GetName()] = o.Object
		}
		out.all = append(out.all, o)
		out.byKind[gvk] = append(out.byKind[gvk], o)
	}
	return out
}

// withNameLabel adds the label that the API server gives every Namespace.
func withNameLabel(namespace *unstructured.Unstructured) *unstructured.Unstructured {
	labelled := namespace.DeepCopy()
	all := labelled.GetLabels()
	if all == nil {
		all = map[string]string{}
	}
	all[corev1.LabelMetadataName] = namespace.GetName()
	labelled.SetLabels(all)
	return labelled
}

// servedByDefinitions are the resources that the render's own
// CustomResourceDefinitions make.
func servedByDefinitions(rendered []render.Object) map[schema.GroupKind]rule.APIResource {
	served := map[schema.GroupKind]rule.APIResource{}
	for i := range rendered {
		o := rendered[i].Object
		if o.GetKind() != "CustomResourceDefinition" {
			continue
		}
		group, _, _ := unstructured.NestedString(o.Object, "spec", "group")
		kind, _, _ := unstructured.NestedString(o.Object, "spec", "names", "kind")
		plural, _, _ := unstructured.NestedString(o.Object, "spec", "names", "plural")
		scope, _, _ := unstructured.NestedString(o.Object, "spec", "scope")
		served[schema.GroupKind{Group: group, Kind: kind}] = rule.APIResource{
			GroupVersionResource: schema.GroupVersionResource{Group: group, Resource: plural},
			Kind:                 kind,
			Namespaced:           scope != "Cluster",
		}
	}
	return served
}

// guess is the resource of a kind that no definition of the render makes:
// whether Kubernetes has it in a namespace is known for its own kinds, and told
// by the object for others. Of those, the other names that the resource may have are
// returned, too: the plural of Gateway is no gatewaies.
func guess(gvk schema.GroupVersionKind, inNamespace bool) (rule.APIResource, []string) {
	plural, singular := meta.UnsafeGuessKindToResource(gvk)
	resource := rule.APIResource{GroupVersionResource: plural, Kind: gvk.Kind}
	var known bool
	resource.Namespaced, known = openapi.IsNamespaceScoped(yaml.TypeMeta{APIVersion: gvk.GroupVersion().String(), Kind: gvk.Kind})
	if known {
		return resource, nil
	}
	resource.Namespaced = inNamespace || strings.HasSuffix(gvk.Group, ".fluxcd.io")
	return resource, []string{plural.Resource, singular.Resource + "s", singular.Resource + "es"}
}

// resourceFor is what a rule calls the resource of an object: where it may have
// several names, the one that the rule says.
func (o *object) resourceFor(spec *v1alpha1.RuleSpec) schema.GroupVersionResource {
	if len(o.plurals) == 0 {
		return o.resource
	}
	said := func(entry admissionregistrationv1.NamedRuleWithOperations, plural string) bool {
		return slices.ContainsFunc(entry.Resources, func(resource string) bool {
			name, _, _ := strings.Cut(resource, "/")
			return name == plural
		})
	}
	entries := slices.Concat(spec.MatchConstraints.ResourceRules, spec.MatchConstraints.ExcludeResourceRules)
	for _, plural := range o.plurals {
		if slices.ContainsFunc(entries, func(entry admissionregistrationv1.NamedRuleWithOperations) bool { return said(entry, plural) }) {
			return o.resource.GroupVersion().WithResource(plural)
		}
	}
	return o.resource
}

// namespaceOf is the content of an object's Namespace: that of the render, or
// one with the label that every Namespace has. It is nil for an object in none.
func (o *objects) namespaceOf(obj *object) map[string]any {
	name := obj.GetNamespace()
	if name == "" {
		return nil
	}
	content, known := o.namespaces[name]
	if !known {
		namespace := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
		namespace.SetName(name)
		content = withNameLabel(namespace).Object
		o.namespaces[name] = content
	}
	return content
}

// namespaceLabels are those of an object's Namespace.
func (o *objects) namespaceLabels(obj *object) map[string]string {
	namespace := unstructured.Unstructured{Object: o.namespaceOf(obj)}
	return namespace.GetLabels()
}

// errLive is a reference to a kind that is never in Git.
var errLive = errors.New("exists in a running cluster only")

// neverInGit are the kinds that a cluster makes by itself: an empty list of
// them in a render says nothing of the cluster.
func neverInGit(kind schema.GroupKind) bool {
	switch kind {
	case schema.GroupKind{Kind: "Node"}, schema.GroupKind{Kind: "Pod"},
		schema.GroupKind{Kind: "Event"}, schema.GroupKind{Group: "events.k8s.io", Kind: "Event"},
		schema.GroupKind{Kind: "Endpoints"}, schema.GroupKind{Group: "discovery.k8s.io", Kind: "EndpointSlice"},
		schema.GroupKind{Group: "coordination.k8s.io", Kind: "Lease"},
		schema.GroupKind{Group: "apps", Kind: "ReplicaSet"}, schema.GroupKind{Group: "apps", Kind: "ControllerRevision"},
		schema.GroupKind{Group: "storage.k8s.io", Kind: "VolumeAttachment"},
		schema.GroupKind{Group: "storage.k8s.io", Kind: "CSINode"}:
		return true
	}
	return false
}

// refs gives one evaluation the lists that its rule refers to, and keeps which
// of them only a running cluster has.
type refs struct {
	objects *objects
	live    []string
}

var _ rule.Refs = (*refs)(nil)

// List the objects of the render that a reference is about.
func (r *refs) List(reference rule.Reference, namespace string) (expr.List, error) {
	if neverInGit(reference.GVK.GroupKind()) {
		r.live = append(r.live, reference.GVK.Kind)
		return expr.List{}, errLive
	}
	key := referenceKey(reference, namespace)
	if list, known := r.objects.lists[key]; known {
		return list, nil
	}
	list := expr.NewList(referred(r.objects.byKind[reference.GVK], reference, namespace))
	r.objects.lists[key] = list
	return list, nil
}

// referenceKey is the same where a reference gives the same list.
func referenceKey(reference rule.Reference, namespace string) string {
	key := reference.GVK.String() + "|" + reference.Selector.String() + "|" + strings.Join(reference.Namespaces.Names, ",")
	if reference.Namespaces.All {
		key += "*"
	}
	if reference.Namespaces.Same {
		key += "=" + namespace
	}
	return key
}

// referred are the objects of its kind that a reference is about.
func referred(all []*object, reference rule.Reference, namespace string) []map[string]any {
	objects := make([]*unstructured.Unstructured, len(all))
	for i, obj := range all {
		objects[i] = obj.Unstructured
	}
	return rule.Contents(reference.Select(objects, namespace))
}

// selects says whether a label selector, in which nil selects nothing, is about
// the given labels.
func selects(selector *metav1.LabelSelector, of map[string]string) bool {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && parsed.Matches(labels.Set(of))
}

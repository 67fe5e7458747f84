package rule

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mainstay-dev/mainstay/controller/internal/expr"
)

// Reference is a named list of objects that a rule refers to.
type Reference struct {
	// Name of the list: refs.<name>.
	Name string
	// GVK is the kind of the objects.
	GVK schema.GroupVersionKind
	// Namespaces that the objects are taken from, where the kind is
	// namespaced.
	Namespaces Namespaces
	// Selector of the objects; never nil.
	Selector labels.Selector
}

// Namespaces is a choice of namespaces: exactly one of Same, All and Names is
// set.
type Namespaces struct {
	// Same is the namespace of the evaluated object; nothing for an object
	// that is in none.
	Same bool
	// All namespaces.
	All bool
	// Names of namespaces.
	Names []string
}

// Include says whether an object in the given namespace is on the list that an
// object in evaluated sees. An object in no namespace always is.
func (n Namespaces) Include(namespace, evaluated string) bool {
	switch {
	case namespace == "" || n.All:
		return true
	case n.Same:
		return namespace == evaluated
	}
	return slices.Contains(n.Names, namespace)
}

// Select is what of objects is on the list that an object in evaluated sees, by
// namespace and name, so that a message that names the first of them stays the
// same. It sorts and cuts the slice that it is given.
func (r *Reference) Select(objs []*unstructured.Unstructured, evaluated string) []*unstructured.Unstructured {
	objs = slices.DeleteFunc(objs, func(obj *unstructured.Unstructured) bool {
		return !r.Namespaces.Include(obj.GetNamespace(), evaluated) || !r.Selector.Matches(LabelsOf(obj.Object))
	})
	slices.SortFunc(objs, func(a, b *unstructured.Unstructured) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	return objs
}

// Resolved is a reference and the resource that it is served as.
type Resolved struct {
	Reference
	// Resource of the objects.
	Resource schema.GroupVersionResource
	// Namespaced says whether the objects are in namespaces.
	Namespaced bool
}

// Key of the list that an object in a namespace sees: the namespace, or nothing
// where all see one list. ok is false where it sees none.
func (r *Resolved) Key(evaluated string) (namespace string, ok bool) {
	if !r.Namespaces.Same || !r.Namespaced {
		return "", true
	}
	return evaluated, evaluated != ""
}

// Resolve finds the resources that the rule refers to among those that are
// served. absent says what is not served, and refused what a namespaced Rule
// may not refer to.
func (r *Rule) Resolve(served []APIResource) (resolved []Resolved, absent, refused []string) {
	for _, ref := range r.references {
		i := slices.IndexFunc(served, func(s APIResource) bool {
			return s.Group == ref.GVK.Group && s.Version == ref.GVK.Version && s.Kind == ref.GVK.Kind
		})
		switch {
		case i < 0:
			absent = append(absent, fmt.Sprintf("refs.%s refers to kind %s of %s, which the API server does not serve",
				ref.Name, ref.GVK.Kind, ref.GVK.GroupVersion()))
		case r.key.Kind == KindRule && !served[i].Namespaced:
			refused = append(refused, fmt.Sprintf("refs.%s refers to the cluster-scoped kind %s: a namespaced Rule refers to its own namespace only",
				ref.Name, ref.GVK.Kind))
		default:
			resolved = append(resolved, Resolved{Reference: ref, Resource: served[i].GroupVersionResource, Namespaced: served[i].Namespaced})
		}
	}
	return resolved, absent, refused
}

// Contents are those of objects.
func Contents(objs []*unstructured.Unstructured) []map[string]any {
	contents := make([]map[string]any, len(objs))
	for i, obj := range objs {
		contents[i] = obj.Object
	}
	return contents
}

// Refs gives the objects of a reference that an object in the given namespace
// sees. The rule asks for a list only when an expression selects it.
type Refs interface {
	List(reference Reference, namespace string) (expr.List, error)
}

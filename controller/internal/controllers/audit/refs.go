package audit

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// refs gives one batch its referenced lists, each made once.
type refs struct {
	objects    Objects
	references []reference
	lists      map[listKey]expr.List
}

type listKey struct {
	name, namespace string
}

var _ rule.Refs = (*refs)(nil)

func newRefs(objects Objects, references []reference) *refs {
	return &refs{objects: objects, references: references, lists: map[listKey]expr.List{}}
}

// List returns the objects of a reference, by namespace and name, so that a
// message that names the first of them stays the same.
func (r *refs) List(ref rule.Reference, namespace string) (expr.List, error) {
	i := slices.IndexFunc(r.references, func(known reference) bool { return known.Name == ref.Name })
	if i < 0 {
		return expr.List{}, fmt.Errorf("refs.%s: the kind %s is not served", ref.Name, ref.GVK.Kind)
	}
	known := r.references[i]
	key := listKey{name: ref.Name}
	if ref.Namespaces.Same && known.namespaced {
		if namespace == "" {
			return expr.List{}, nil
		}
		key.namespace = namespace
	}
	if list, ok := r.lists[key]; ok {
		return list, nil
	}
	objs := slices.DeleteFunc(r.objects.List(known.gvr, key.namespace), func(obj *unstructured.Unstructured) bool {
		return !ref.Namespaces.Include(obj.GetNamespace(), namespace) || !ref.Selector.Matches(labels.Set(obj.GetLabels()))
	})
	slices.SortFunc(objs, func(a, b *unstructured.Unstructured) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	contents := make([]map[string]any, len(objs))
	for i, obj := range objs {
		contents[i] = obj.Object
	}
	list := expr.NewList(contents)
	r.lists[key] = list
	return list, nil
}

package audit

import (
	"fmt"
	"slices"

	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// refs gives all that is planned its referenced lists, each made once.
type refs struct {
	objects    Objects
	references []rule.Resolved
	lists      map[listKey]expr.List
}

type listKey struct {
	name, namespace string
}

var _ rule.Refs = (*refs)(nil)

func newRefs(objects Objects, references []rule.Resolved) *refs {
	return &refs{objects: objects, references: references, lists: map[listKey]expr.List{}}
}

// List returns the objects of a reference.
func (r *refs) List(ref rule.Reference, namespace string) (expr.List, error) {
	i := slices.IndexFunc(r.references, func(known rule.Resolved) bool { return known.Name == ref.Name })
	if i < 0 {
		return expr.List{}, fmt.Errorf("refs.%s: the kind %s is not served", ref.Name, ref.GVK.Kind)
	}
	known := r.references[i]
	in, ok := known.Key(namespace)
	if !ok {
		return expr.List{}, nil
	}
	key := listKey{name: ref.Name, namespace: in}
	if list, ok := r.lists[key]; ok {
		return list, nil
	}
	list := expr.NewList(rule.Contents(known.Select(r.objects.List(known.Resource, in), namespace)))
	r.lists[key] = list
	return list, nil
}

package expr

import (
	"slices"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// List is a list of objects as expressions see it. Making one costs a small
// allocation per object, so a caller that evaluates many objects against the
// same list makes it once. It may be shared between goroutines; the objects
// must not change any more. The zero List is empty.
type List struct {
	val    ref.Val
	values []ref.Val
}

// NewList makes a list of the contents of unstructured objects.
func NewList(objects []map[string]any) List {
	values := make([]ref.Val, len(objects))
	for i, object := range objects {
		values[i] = valueOf(object)
	}
	return listWith(values)
}

func listWith(values []ref.Val) List {
	return List{val: types.NewRefValList(types.DefaultTypeAdapter, values), values: values}
}

func valueOf(object map[string]any) ref.Val {
	return types.NewStringInterfaceMap(types.DefaultTypeAdapter, object)
}

// Replaced is a list with another object in the place of the one at i.
func (l List) Replaced(i int, object map[string]any) List {
	values := slices.Clone(l.values)
	values[i] = valueOf(object)
	return listWith(values)
}

// Inserted is a list with one more object, at i.
func (l List) Inserted(i int, object map[string]any) List {
	return listWith(slices.Concat(l.values[:i], []ref.Val{valueOf(object)}, l.values[i:]))
}

// Removed is a list without the object at i.
func (l List) Removed(i int) List {
	return listWith(slices.Concat(l.values[:i], l.values[i+1:]))
}

func (l List) value() ref.Val {
	if l.val == nil {
		return types.NewRefValList(types.DefaultTypeAdapter, nil)
	}
	return l.val
}

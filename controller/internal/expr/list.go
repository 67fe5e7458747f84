package expr

import (
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// List is a list of objects as expressions see it. Making one costs a small
// allocation per object, so a caller that evaluates many objects against the
// same list makes it once. It may be shared between goroutines; the objects
// must not change any more. The zero List is empty.
type List struct {
	val ref.Val
	len int
}

// NewList makes a list of the contents of unstructured objects.
func NewList(objects []map[string]any) List {
	values := make([]ref.Val, len(objects))
	for i, object := range objects {
		values[i] = types.NewStringInterfaceMap(types.DefaultTypeAdapter, object)
	}
	return List{val: types.NewRefValList(types.DefaultTypeAdapter, values), len: len(objects)}
}

// Len is the number of objects.
func (l List) Len() int {
	return l.len
}

func (l List) value() ref.Val {
	if l.val == nil {
		return types.NewRefValList(types.DefaultTypeAdapter, nil)
	}
	return l.val
}

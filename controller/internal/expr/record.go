package expr

import (
	"fmt"
	"reflect"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	apiservercel "k8s.io/apiserver/pkg/cel"
)

// shape is what the records of one program have in common.
type shape struct {
	typ   *types.Type
	names []string
	index map[string]int
}

func newShape(typeName string, names []string) *shape {
	s := &shape{
		typ:   types.NewObjectType(typeName, traits.IndexerType, traits.FieldTesterType, traits.IterableType),
		names: names,
		index: make(map[string]int, len(names)),
	}
	for i, name := range names {
		s.index[name] = i
	}
	return s
}

// record is the value of variables and of refs: an object whose fields are
// resolved when they are first selected. It behaves like upstream's lazy map,
// and costs no map of callbacks per evaluation.
type record struct {
	*shape
	resolve func(index int) ref.Val
}

var (
	_ traits.Mapper = (*record)(nil)
	_ ref.Val       = (*record)(nil)
)

// fieldName is the name that an expression means by a field: CEL's reserved
// words are escaped.
func fieldName(selected string) string {
	if name, ok := apiservercel.Unescape(selected); ok {
		return name
	}
	return selected
}

// selectsItself says whether an expression that selects a name means that one.
func selectsItself(name string) bool {
	meant, ok := apiservercel.Unescape(name)
	return ok && meant == name
}

// Find implements traits.Mapper.
func (r *record) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(key), true
	}
	i, ok := r.index[string(name)]
	if !ok {
		i, ok = r.index[fieldName(string(name))]
	}
	if !ok {
		return nil, false
	}
	return r.resolve(i), true
}

// Get implements traits.Indexer.
func (r *record) Get(key ref.Val) ref.Val {
	if value, ok := r.Find(key); ok {
		return value
	}
	return types.NewErr("no such key: %v", key)
}

// Contains implements traits.Container.
func (r *record) Contains(key ref.Val) ref.Val {
	value, ok := r.Find(key)
	if value != nil && types.IsUnknownOrError(value) {
		return value
	}
	return types.Bool(ok)
}

// Iterator implements traits.Iterable.
func (r *record) Iterator() traits.Iterator {
	return types.NewStringList(types.DefaultTypeAdapter, r.names).Iterator()
}

// Size implements traits.Sizer.
func (r *record) Size() ref.Val {
	return types.Int(len(r.names))
}

// ConvertToNative implements ref.Val.
func (r *record) ConvertToNative(typeDesc reflect.Type) (any, error) {
	return nil, fmt.Errorf("disallowed conversion from %q to %q", r.typ.TypeName(), typeDesc.Name())
}

// ConvertToType implements ref.Val.
func (r *record) ConvertToType(typeVal ref.Type) ref.Val {
	switch typeVal {
	case r.typ:
		return r
	case types.TypeType:
		return r.typ
	}
	return types.NewErr("disallowed conversion from %q to %q", r.typ.TypeName(), typeVal.TypeName())
}

// Equal implements ref.Val.
func (r *record) Equal(other ref.Val) ref.Val {
	o, ok := other.(*record)
	if !ok {
		return types.MaybeNoSuchOverloadErr(other)
	}
	return types.Bool(r == o)
}

// Type implements ref.Val.
func (r *record) Type() ref.Type {
	return r.typ
}

// Value implements ref.Val.
func (r *record) Value() any {
	return types.NoSuchOverloadErr()
}

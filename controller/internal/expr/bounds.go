package expr

import (
	"fmt"
	"math"
	"slices"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
)

// What compiling an expression may take. Its text alone bounds neither: optMap and
// optFlatMap have what they are called on twice, so that each of a chain doubles the
// expression, and a map whose key is computed has the type of its key and that of its
// value, so that each of a chain doubles the type, which the checker walks as a tree.
// The API server compiles the same text.
const (
	// maxSize is how many nodes an expression may have with its macros expanded.
	// 8,192 characters without any of the two have about as many.
	maxSize = 20_000
	// maxComputedKeys is how many maps with a computed key an expression may build.
	maxComputedKeys = 8
)

// MaxText is how long the expressions of a rule may be together, in bytes. Compiled they take
// up to 4 MiB of memory in each replica.
const MaxText = 32 << 10

// bounded says what is wrong with a text that would take too much to compile. It is
// parsed without macros for that, which takes no more than its text.
func (w *compilation) bounded(at place, text string) *Error {
	parsed, issues := w.plain.Parse(text)
	if issues.Err() != nil {
		return issueOf(at, text, issues.Errors())
	}
	size := sizeOf(parsed.NativeRep().Expr())
	switch {
	case size.nodes > maxSize:
		return at.mistake(Invalid, text, fmt.Sprintf("is too large: with optMap and optFlatMap expanded it has more than %d parts, as each has what it is called on twice", maxSize))
	case size.computedKeys > maxComputedKeys:
		return at.mistake(Invalid, text, fmt.Sprintf("builds more than %d maps with keys that are computed", maxComputedKeys))
	}
	return nil
}

// size of an expression once its macros are expanded.
type size struct{ nodes, computedKeys int }

func (s *size) add(more size) {
	s.nodes, s.computedKeys = plus(s.nodes, more.nodes), plus(s.computedKeys, more.computedKeys)
}

// plus is no more than math.MaxInt32, which is beyond every bound.
func plus(a, b int) int { return min(a+b, math.MaxInt32) }

func sizeOf(e ast.Expr) size {
	out := size{nodes: 1}
	switch e.Kind() {
	case ast.SelectKind:
		out.add(sizeOf(e.AsSelect().Operand()))
	case ast.CallKind:
		call := e.AsCall()
		if call.IsMemberFunction() {
			target := sizeOf(call.Target())
			if name := call.FunctionName(); name == "optMap" || name == "optFlatMap" {
				out.add(target)
			}
			out.add(target)
		}
		for _, arg := range call.Args() {
			out.add(sizeOf(arg))
		}
	case ast.ListKind:
		for _, one := range e.AsList().Elements() {
			out.add(sizeOf(one))
		}
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			key := entry.AsMapEntry().Key()
			if key.Kind() != ast.LiteralKind {
				out.add(size{computedKeys: 1})
			}
			out.add(sizeOf(key))
			out.add(sizeOf(entry.AsMapEntry().Value()))
		}
	case ast.StructKind:
		for _, f := range e.AsStruct().Fields() {
			out.add(sizeOf(f.AsStructField().Value()))
		}
	case ast.ComprehensionKind, ast.IdentKind, ast.LiteralKind, ast.UnspecifiedExprKind:
	}
	return out
}

// hasCompositeKey says whether a type is, or has in it, a map whose keys are lists or maps.
// No such map can be made, and the type of a variable that has one doubles that of the next.
func hasCompositeKey(t *cel.Type) bool {
	if t.Kind() == types.MapKind && len(t.Parameters()) == 2 {
		key := t.Parameters()[0].Kind()
		if key == types.ListKind || key == types.MapKind || key == types.OpaqueKind {
			return true
		}
	}
	return slices.ContainsFunc(t.Parameters(), hasCompositeKey)
}

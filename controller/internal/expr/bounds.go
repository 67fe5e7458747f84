package expr

import (
	"fmt"
	"math"
	"slices"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// What compiling an expression may take. Its text alone bounds it not: optMap and
// optFlatMap have what they are called on twice, so that each of a chain doubles the
// expression; a map whose key is computed has the type of its key and that of its value, so
// that each of a chain doubles the type, which the checker walks as a tree; and for a list
// of lists of lists it writes down the type at each level, again at each of its parts. The
// API server compiles the same text.
const (
	// maxSize is how many nodes an expression may have with its macros expanded.
	// 8,192 characters without optMap have about as many.
	maxSize = 20_000
	// maxComputedKeys is how many maps with a computed key may be made of one another.
	maxComputedKeys = 4
	// maxDepth is how many lists, maps and optional values may be made of one another.
	maxDepth = 32
	// maxTypeSize is how many parts the type of a variable may have.
	maxTypeSize = 64
	// maxWork is how many parts of types the checker may come upon.
	maxWork = 200_000

	// maxTotalSize is how many nodes the expressions of a rule may have together, with their
	// macros expanded. Without optMap and optFlatMap a text has one for each byte at most.
	maxTotalSize = MaxText
	// maxChecks bounds, of all expressions of a rule, the sum of the squares of how many calls
	// each has: for each the checker copies what it knows of the types of those before it. A
	// thousand in one take about a second.
	maxChecks = 1_000_000
)

// MaxText is how long the expressions of a rule may be together, in bytes. Compiled they take
// up to 12 MiB of memory in each replica: 14 KiB for each of 256, 150 bytes for each node and
// 260 for the name of a field, and 40 for each instruction of a regular expression.
const MaxText = 32 << 10

// bounded says what is wrong with a text that would take too much to compile, by itself or
// beside those before it. It is parsed without macros for that, which takes no more than its
// text.
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
		return at.mistake(Invalid, text, fmt.Sprintf("has more than %d maps with computed keys that are made of one another", maxComputedKeys))
	case size.depth > maxDepth:
		return at.mistake(Invalid, text, fmt.Sprintf("has more than %d lists, maps or optional values that are made of one another", maxDepth))
	case (size.nodes*(size.depth+1))<<size.computedKeys > maxWork:
		return at.mistake(Invalid, text, fmt.Sprintf("takes too much to compile: it has %d parts, and lists, maps and optional values that are %d deep, %d of them maps with computed keys",
			size.nodes, size.depth, size.computedKeys))
	}
	if w.nodes += size.nodes; w.nodes > maxTotalSize {
		w.full = true
		return at.mistake(Invalid, text, fmt.Sprintf("is too large beside those before it: with optMap and optFlatMap expanded, as each has what it is called on twice, the expressions of a rule may have %d parts together", maxTotalSize))
	}
	if w.checks = plus(w.checks, size.calls*size.calls); w.checks > maxChecks {
		w.full = true
		return at.mistake(Invalid, text, fmt.Sprintf("takes too much to compile beside those before it: it has %d calls and lists, and the squares of what each expression of a rule has may be %d together", size.calls, maxChecks))
	}
	return nil
}

// size of an expression once its macros are expanded, and of the type that it may have. calls
// are those of functions and operators, lists and maps whose type the checker has to find.
type size struct{ nodes, calls, computedKeys, depth int }

// beside adds what has no part in the type of the other.
func (s *size) beside(more size) {
	s.nodes, s.calls = plus(s.nodes, more.nodes), plus(s.calls, more.calls)
	s.computedKeys, s.depth = max(s.computedKeys, more.computedKeys), max(s.depth, more.depth)
}

// within adds what may be a part of the other.
func (s *size) within(more size) {
	s.nodes, s.calls = plus(s.nodes, more.nodes), plus(s.calls, more.calls)
	s.computedKeys, s.depth = plus(s.computedKeys, more.computedKeys), plus(s.depth, more.depth)
}

// plus is no more than math.MaxInt32, which is beyond every bound.
func plus(a, b int) int { return min(a+b, math.MaxInt32) }

func sizeOf(e ast.Expr) size {
	out := size{nodes: 1}
	switch e.Kind() {
	case ast.SelectKind:
		out.within(sizeOf(e.AsSelect().Operand()))
	case ast.CallKind:
		call := e.AsCall()
		made := madeBy(call)
		out.nodes += made
		if name := call.FunctionName(); name != operators.LogicalAnd && name != operators.LogicalOr {
			out.calls = 1 + made/2
		}
		add := out.beside
		if call.IsMemberFunction() {
			// The arguments of a macro see what it is called on.
			add = out.within
			target := sizeOf(call.Target())
			switch call.FunctionName() {
			case "optMap", "optFlatMap":
				out.nodes, out.calls = plus(out.nodes, target.nodes), plus(out.calls, target.calls)
				out.depth++
			case "map", "transformList", "transformMap", "transformMapEntry", "of", "ofNonZeroValue":
				out.depth++
			}
			out.within(target)
		}
		for _, arg := range call.Args() {
			add(sizeOf(arg))
		}
	case ast.ListKind:
		out.calls = 1
		for _, one := range e.AsList().Elements() {
			out.beside(sizeOf(one))
		}
		out.depth++
	case ast.MapKind:
		out.calls = 1
		computed := 0
		for _, entry := range e.AsMap().Entries() {
			key := entry.AsMapEntry().Key()
			if key.Kind() != ast.LiteralKind {
				computed = 1
			}
			out.beside(sizeOf(key))
			out.beside(sizeOf(entry.AsMapEntry().Value()))
		}
		out.computedKeys += computed
		out.depth++
	case ast.StructKind:
		for _, f := range e.AsStruct().Fields() {
			out.beside(sizeOf(f.AsStructField().Value()))
		}
	case ast.ComprehensionKind, ast.IdentKind, ast.LiteralKind, ast.UnspecifiedExprKind:
	}
	return out
}

// madeBy is how many nodes more than its text an expanded macro has, beside what it copies: of
// those with two forms it is the larger number. Others than macros have none.
func madeBy(call ast.CallExpr) int {
	if !call.IsMemberFunction() {
		if call.FunctionName() == selectorMatchesName {
			return 2
		}
		return 0
	}
	switch call.FunctionName() {
	case "optMap":
		return 7
	case "optFlatMap", "exists", "transformList", "transformMap":
		return 6
	case "all", "transformMapEntry":
		return 5
	case "exists_one", "existsOne":
		return 9
	case "filter":
		return 8
	case "map":
		return 1 + 2*len(call.Args()) // two or three
	}
	return 0
}

// typeSize is how many parts a type has.
func typeSize(t *cel.Type) int {
	n := 1
	for _, parameter := range t.Parameters() {
		n = plus(n, typeSize(parameter))
	}
	return n
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

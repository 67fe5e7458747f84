package expr

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
)

// What an evaluation may take is bounded by its cost, and that is counted once a call has
// returned: a text that doubles with each of a chain of variables is there by then. Where
// types are not known the cost of a call is 1, too. So values are followed for how large
// they may become; the API server evaluates the same text.
const (
	// maxInput is how large an object may be, in bytes: the API server takes no larger
	// request.
	maxInput = 3 << 20
	// maxMade is how large a text may become, and all texts that variables keep together.
	maxMade = 64 * maxInput
	// maxHeld is how large a value may be that is gone through: a list may have the same
	// text in it many times, and takes no memory for that.
	maxHeld = 1024 * maxInput

	// madeByCost is how much text the cost limit of an expression lets calls make whose
	// cost is counted by what they make, at a tenth for each byte.
	madeByCost = 10 << 20
	// maxIterations is how often the loops of an expression may go round together, by the
	// same limit.
	maxIterations = 100_000

	// scalar is what a number, or a name that the API server bounds, counts for, and
	// maxName the longest such name.
	scalar, maxName = 16, 253
	// number is how long one may be that format writes.
	number = 512
	// maxRange is how long a list of numbers may be made.
	maxRange = 1000
)

// extent is how large a value may become, in bytes, if it is written out.
type extent struct {
	// once is for each time that it is evaluated, all for all times together, and paid for
	// each time what counts by its size for the cost: the loops around it end by that.
	once, all, paid float64
	// of says how many times it has the element of a loop in it, by the loop's id.
	of map[int64]float64
}

func (x extent) plus(y extent) extent {
	return x.with(y, func(a, b float64) float64 { return a + b })
}

// or is the extent of a value that is the one or the other.
func (x extent) or(y extent) extent {
	return x.with(y, math.Max)
}

func (x extent) with(y extent, both func(a, b float64) float64) extent {
	out := extent{once: both(x.once, y.once), all: both(x.all, y.all), paid: both(x.paid, y.paid), of: x.of}
	if len(y.of) > 0 {
		out.of = maps.Clone(x.of)
		if out.of == nil {
			out.of = map[int64]float64{}
		}
		for loop, n := range y.of {
			out.of[loop] = both(x.of[loop], n)
		}
	}
	return out
}

func (x extent) times(n float64) extent {
	if n == 0 {
		return extent{}
	}
	out := extent{once: x.once * n, all: x.all * n, paid: x.paid * n, of: make(map[int64]float64, len(x.of))}
	for loop, times := range x.of {
		out.of[loop] = times * n
	}
	return out
}

// there is the extent of a value that was made before: its cost counts no more.
func (x extent) there() extent {
	return extent{once: x.once + x.paid, all: x.all, of: x.of}
}

// growth is what is known of how large values become in the expressions of a rule.
type growth struct {
	// ast is the expression that is followed.
	ast *ast.AST
	// single is how large one element of each loop may be.
	single map[int64]float64
	// kept is what the variables make that are there until the rule is evaluated.
	kept float64
	// uses are where a value may become too large, and why.
	uses []growthUse
}

type growthUse struct {
	id  int64
	why string
}

// follow begins with an expression.
func (g *growth) follow(expression *ast.AST) {
	g.ast, g.single, g.uses = expression, map[int64]float64{}, g.uses[:0]
}

func (g *growth) refuse(id int64, why string) {
	g.uses = append(g.uses, growthUse{id, why})
}

// most is how large a value is where all that it is made of is as large as it can be.
func (g *growth) most(x extent) float64 {
	sum := x.once + x.all + x.paid
	for loop, n := range x.of {
		sum += n * g.single[loop]
	}
	return sum
}

// bounded refuses a value that may become larger than what there is room for.
func (g *growth) bounded(id int64, x extent, limit float64, hint string) extent {
	if g.most(x) <= limit {
		return x
	}
	g.refuse(id, fmt.Sprintf("this may become larger than %.0f MiB where an object is large, before its cost is counted: %s", limit/(1<<20), hint))
	return extent{once: scalar}
}

// keep takes note of what a variable made, which is there as long as the rule is evaluated.
func (g *growth) keep(id int64, x extent) {
	g.kept += g.most(x)
	g.bounded(id, extent{once: g.kept}, maxMade, hintKept)
}

// Ways out of a value that is too large.
const (
	hintAgain   = "do not put together again and again what was put together before"
	hintLoop    = "what is put together for each element has a text of any length from outside of the element in it; put texts together as texts, string(a) + string(b), whose cost is counted"
	hintJoin    = "join fewer parts, by a short text"
	hintReplace = "replace a text that stands in the expression, and is not empty, by a short one"
	hintFormat  = "format fewer values"
	hintRange   = "lists.range needs a number up to 1000 that stands in the expression, or size(), or those added or subtracted"
	hintKept    = "all variables that put texts together count; use fewer of them"
)

// fixed is the extent of a value whose type says it all.
func (g *growth) fixed(id int64) (extent, bool) {
	switch g.ast.GetType(id).Kind() {
	case types.BoolKind, types.IntKind, types.UintKind, types.DoubleKind, types.DurationKind, types.TimestampKind, types.NullTypeKind, types.TypeKind:
		return extent{once: scalar}, true
	default:
		return extent{}, false
	}
}

// overload says whether a call is of one of some overloads, whatever it is called with.
func (g *growth) overload(id int64, names ...string) bool {
	reference, known := g.ast.ReferenceMap()[id]
	return known && len(reference.OverloadIDs) == 1 && slices.Contains(names, reference.OverloadIDs[0])
}

// sum is the extent of a + b. Where both are known to be texts the cost is that of what is
// made, once it is there.
func (g *growth) sum(id int64, x extent) extent {
	x = g.bounded(id, x, maxMade, hintAgain)
	if !g.overload(id, overloads.AddString, overloads.AddBytes) {
		return x
	}
	return extent{paid: min(g.most(x), madeByCost)}
}

// round is the extent of what a loop over a range makes, of which x is made each time. The
// count is infinite where it is not known.
func (g *growth) round(loop int64, ranged, x extent, count float64) extent {
	each := extent{once: x.once, of: maps.Clone(x.of)}
	delete(each.of, loop)
	out := extent{all: x.all, paid: x.paid}
	if x.paid > 0 {
		out.paid = max(x.paid, min(x.paid*count, madeByCost))
	}
	if math.IsInf(count, 1) {
		out.all += g.most(each) * maxIterations
	} else {
		out = out.plus(each.times(count))
	}
	return out.plus(ranged.times(x.of[loop]))
}

// precise finds a precision of three digits and more.
var precise = regexp.MustCompile(`%\.[0-9]{3}`)

// called is the extent of what a call returns that was given something of an extent, in
// which args have their parts.
func (g *growth) called(e ast.Expr, given extent, args []extent) extent {
	call := e.AsCall()
	switch name := call.FunctionName(); {
	case name == "join":
		if len(args) > 0 {
			// As many parts as an object can have.
			given = given.plus(extent{once: g.most(args[len(args)-1]) * maxInput / 3})
		}
		// Its cost is that of what it made, once it is there.
		return extent{paid: g.most(g.bounded(e.ID(), given, maxMade, hintJoin))}
	case name == "strings.quote", name == "base64.encode":
		return g.bounded(e.ID(), given.times(4), maxMade, hintAgain)
	case name == "replace" && len(args) > 1:
		from, isText := textOf(call.Args()[0])
		if !isText || from == "" {
			from = "." // or between all that there is
		}
		return g.bounded(e.ID(), given.times(1+math.Ceil(g.most(args[1])/float64(len(from)))), maxMade, hintReplace)
	case name == "format":
		return g.formatted(e, given)
	case name == "split", name == "findAll":
		// Each part is a value of its own.
		g.bounded(e.ID(), given.times(scalar), maxMade, hintAgain)
		return given
	case g.ast.GetType(e.ID()).Kind() == types.ListKind:
		return g.bounded(e.ID(), given, maxMade, hintAgain)
	}
	return g.bounded(e.ID(), given, maxHeld, hintAgain)
}

func (g *growth) formatted(e ast.Expr, given extent) extent {
	call := e.AsCall()
	texts, known := []string(nil), false
	if call.IsMemberFunction() {
		texts, known = textsOf(call.Target(), nil)
	}
	numbers := 0
	for _, text := range texts {
		known = known && !precise.MatchString(text)
		numbers = max(numbers, strings.Count(text, "%"))
	}
	if !known {
		g.refuse(e.ID(), "format needs a text that stands in the expression, and no precision of over two digits")
		return given
	}
	// A list or map is quoted, and %x writes two digits for each byte.
	return g.bounded(e.ID(), given.times(4).plus(extent{once: float64(numbers) * number}), maxMade, hintFormat)
}

// isName says whether a selection is that of a name, namespace or uid of an object that the
// API server has looked at.
func isName(s ast.SelectExpr, scope *locals) bool {
	switch s.FieldName() {
	case "name", "namespace", "uid", "generateName":
	default:
		return false
	}
	if s.Operand().Kind() != ast.SelectKind || s.Operand().AsSelect().FieldName() != "metadata" {
		return false
	}
	of := s.Operand().AsSelect().Operand()
	if of.Kind() != ast.IdentKind {
		return false
	}
	root := of.AsIdent()
	_, shadowed := scope.find(root)
	return !shadowed && (root == objectVar || root == oldObjectVar || root == namespaceVar)
}

func textOf(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	text, ok := e.AsLiteral().(types.String)
	return string(text), ok
}

// textsOf adds the texts that an expression is one of, or is put together from.
func textsOf(e ast.Expr, texts []string) ([]string, bool) {
	if text, ok := textOf(e); ok {
		return append(texts, text), true
	}
	if e.Kind() != ast.CallKind {
		return nil, false
	}
	args := e.AsCall().Args()
	switch e.AsCall().FunctionName() {
	case operators.Conditional:
		args = args[1:]
	case operators.Add:
		// A precision could be put together from both.
		left, ok := textOf(args[0])
		right, also := textOf(args[1])
		return append(texts, left+right), ok && also
	default:
		return nil, false
	}
	for _, arg := range args {
		more, ok := textsOf(arg, texts)
		if !ok {
			return nil, false
		}
		texts = more
	}
	return texts, true
}

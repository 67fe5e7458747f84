package expr

import (
	"regexp"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
)

// What an evaluation may take is bounded by its cost, and that is counted once a call has
// returned: a value that doubles with each of a chain of variables is there by then. Where
// types are not known the cost of a call is 1, too. So values are followed for how large
// they may become, in what they are made of; the API server evaluates the same text.
const (
	// maxGrowth is how many values of the input a value may be as large as.
	maxGrowth = 64
	// maxRange is how long a list of numbers may be made.
	maxRange = 1000

	// longer is what a call counts for that puts one text into another as often as it
	// likes, and twice one that may double it.
	longer, twice = 8, 2
)

// growthUse is where a value may become too large, and why.
type growthUse struct {
	id  int64
	why string
}

// grown is a growth that is not too large, or the largest and a use to be refused.
func (r *reads) grown(id int64, growth int) int {
	if growth <= maxGrowth {
		return growth
	}
	r.growthUses = append(r.growthUses, growthUse{id, "the value may become too large: it is put together from what was put together before, again and again"})
	return maxGrowth
}

// precise finds a precision of four digits and more.
var precise = regexp.MustCompile(`%\.[0-9]{4}`)

// grownBy is the growth of what a call returns that was given something of a growth.
func (r *reads) grownBy(e ast.Expr, growth int) int {
	call := e.AsCall()
	args := call.Args()
	switch call.FunctionName() {
	case "join", "flatten":
		return r.grown(e.ID(), max(growth, 1)*longer)
	case "strings.quote", "base64.encode":
		return r.grown(e.ID(), max(growth, 1)*twice)
	case "replace":
		from, isText := textOf(args[0])
		to, isAlso := textOf(args[min(1, len(args)-1)])
		if !isText || !isAlso || len(to) > len(from) {
			return r.grown(e.ID(), max(growth, 1)*longer)
		}
	case "format":
		text, isText := "", false
		if call.IsMemberFunction() {
			text, isText = textOf(call.Target())
		}
		if !isText || precise.MatchString(text) {
			r.growthUses = append(r.growthUses, growthUse{e.ID(), "format needs a text that stands in the expression, and no precision of over three digits"})
		}
		return r.grown(e.ID(), growth+1)
	case "lists.range":
		if n, isNumber := numberOf(args[0]); (!isNumber || n > maxRange) && !isSize(args[0]) {
			r.growthUses = append(r.growthUses, growthUse{e.ID(), "lists.range needs a number up to 1000 that stands in the expression, or size()"})
		}
	}
	return growth
}

func textOf(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	text, ok := e.AsLiteral().(types.String)
	return string(text), ok
}

func numberOf(e ast.Expr) (int64, bool) {
	if e.Kind() != ast.LiteralKind {
		return 0, false
	}
	number, ok := e.AsLiteral().(types.Int)
	return int64(number), ok
}

func isSize(e ast.Expr) bool {
	return e.Kind() == ast.CallKind && e.AsCall().FunctionName() == "size"
}

package expr

import (
	"errors"
	"fmt"
	"regexp/syntax"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/functions"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
)

const (
	// maxPattern is how many instructions a regular expression may be compiled to, about.
	maxPattern = 10_000
	// maxTotalPattern is how many instructions those that a rule is planned with may be
	// compiled to together, about.
	maxTotalPattern = 30_000
	// runesOfInstruction are as large as an instruction. \pL has 1,300: from which letter to
	// which.
	runesOfInstruction = 10
)

// errPattern is wrapped by what refuses a regular expression.
var errPattern = errors.New("the regular expression is too large")

// patterns refuses regular expressions that would take too much memory: their repeats multiply.
// It sees an expression as it is planned, in which string('…') is a text, too, and before the
// planner compiles the regular expressions that it knows. Those that only an evaluation knows are
// refused there. refused is the call that has one.
func (w *compilation) patterns(env *cel.Env, refused *int64) interpreter.InterpretableDecorator {
	return func(planned interpreter.Interpretable) (interpreter.Interpretable, error) {
		call, ok := planned.(interpreter.InterpretableCall)
		if !ok || len(call.Args()) < 2 {
			return planned, nil
		}
		switch call.Function() {
		case "matches", "find", "findAll":
		default:
			return planned, nil
		}
		constant, ok := call.Args()[1].(interpreter.InterpretableConst)
		if !ok {
			return boundedCall(env, call)
		}
		pattern, ok := constant.Value().(types.String)
		if !ok {
			return planned, nil
		}
		size, classes := patternSize(string(pattern))
		if w.instructions += size + classes; size <= maxPattern && w.instructions > maxTotalPattern {
			w.full = true
			*refused = call.ID()
			return nil, fmt.Errorf("%w beside those before it: with their repeats those of a rule may have %d parts together", errPattern, maxTotalPattern)
		}
		if size > maxPattern {
			*refused = call.ID()
			return nil, tooLarge()
		}
		return planned, nil
	}
}

func tooLarge() error {
	return fmt.Errorf("%w: with its repeats it has more than %d parts", errPattern, maxPattern)
}

// boundedCall is a call that looks at its regular expression first.
func boundedCall(env *cel.Env, call interpreter.InterpretableCall) (interpreter.Interpretable, error) {
	overloads, err := env.Functions()[call.Function()].Bindings()
	if err != nil {
		return nil, fmt.Errorf("finding what %s calls: %w", call.Function(), err)
	}
	var found *functions.Overload
	for _, overload := range overloads {
		if overload.Operator == call.OverloadID() || found == nil && overload.Operator == call.Function() {
			found = overload
		}
	}
	if found == nil {
		return nil, fmt.Errorf("finding what %s calls: there is no overload %q", call.Function(), call.OverloadID())
	}
	return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), func(args ...ref.Val) ref.Val {
		if pattern, ok := args[1].(types.String); ok {
			if size, _ := patternSize(string(pattern)); size > maxPattern {
				return types.WrapErr(tooLarge())
			}
		}
		if len(args) == 2 && found.Binary != nil {
			return found.Binary(args[0], args[1])
		}
		return found.Function(args...)
	}), nil
}

// patternSize is how many instructions a regular expression is compiled to, about, and how many
// its classes of characters are as large as, which its repeats share. One that is none has
// neither: it is a mistake of its own.
func patternSize(pattern string) (size, classes int) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, 0
	}
	return sizeOfPattern(parsed)
}

func sizeOfPattern(r *syntax.Regexp) (size, classes int) {
	size = 1
	if r.Op == syntax.OpLiteral {
		size = len(r.Rune)
	}
	if r.Op == syntax.OpCharClass {
		classes = len(r.Rune) / runesOfInstruction
	}
	for _, sub := range r.Sub {
		more, moreClasses := sizeOfPattern(sub)
		size, classes = plus(size, more), plus(classes, moreClasses)
	}
	if r.Op == syntax.OpRepeat {
		size = plus(0, size*max(r.Min, r.Max, 1))
	}
	return size, classes
}

package expr

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
	"k8s.io/apimachinery/pkg/runtime/schema"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// Refs gives the lists of a rule's references. A list is asked for when an
// expression first selects it.
type Refs interface {
	List(name string) (List, error)
}

// Input is what one evaluation sees. Nothing of it is changed.
type Input struct {
	// Object is the content of the object; nil for a request that has none.
	Object map[string]any
	// OldObject is the content of the object as it was; nil for none.
	OldObject map[string]any
	// Request is the content of the variable request, as the API server has
	// it. With nil the object is judged as if it were created now.
	Request map[string]any
	// Resource of the object.
	Resource schema.GroupVersionResource
	// Namespace is the content of the object's Namespace, nil for an object
	// that is in none.
	Namespace map[string]any
	// Refs may be nil where the program has no references.
	Refs Refs
}

// Result of one evaluation.
type Result struct {
	// Matches is false where a match condition was false: then nothing else is
	// set.
	Matches bool
	// Err is why it is not known whether the object is matched or holds: a
	// match condition failed, the cost budget ran out (ErrOutOfBudget), the
	// context ended (its error).
	Err error
	// Problems are the validations that did not hold, in order; none where all
	// held.
	Problems []Problem
}

// Problem is one validation that was false or failed.
type Problem struct {
	// Index of the validation.
	Index int
	// Err is why the expression failed; nil where it was false.
	Err error
	// Message is what the validation's messageExpression evaluated to, in one
	// line; empty where there is none or its result cannot be used.
	Message string
}

// Reads is what the expressions read of the object.
func (p *Program) Reads() Mask {
	return p.object
}

// ReadsOf is what the expressions read of each object of a reference.
func (p *Program) ReadsOf(name string) Mask {
	return p.refs[name]
}

// UsesNamespace says whether an expression reads namespaceObject.
func (p *Program) UsesNamespace() bool {
	return p.usesNamespace
}

// Beyond names what the expressions use that the API server does not have:
// references, and functions of Mainstay's own.
func (p *Program) Beyond() []string {
	return p.beyond
}

// RequestOnly names what the expressions use that only a real request has. A
// program that uses it cannot be evaluated here.
func (p *Program) RequestOnly() []string {
	return p.requestOnly
}

// Evaluate judges one object. The cost limits are upstream's: a limit for each
// expression, a budget for the match conditions, and one that validations,
// their variables and messages share.
func (p *Program) Evaluate(ctx context.Context, in Input) Result {
	return p.evaluation(ctx, in).judge() //nolint:contextcheck // the evaluation has it
}

// Matches evaluates the match conditions alone.
func (p *Program) Matches(ctx context.Context, in Input) (bool, error) {
	return p.evaluation(ctx, in).matches() //nolint:contextcheck // the evaluation has it
}

func (p *Program) evaluation(ctx context.Context, in Input) *evaluation {
	return &evaluation{
		Context: ctx,
		program: p,
		in:      in,
		current: -1,
	}
}

// evaluation is one run of a program. It is the activation that expressions
// resolve names in, too.
type evaluation struct {
	context.Context //nolint:containedctx // an evaluation lives as long as one call, and lazy variables need its context

	program *Program
	in      Input

	request, namespace map[string]any
	variables, refs    *record
	lists              []ref.Val

	memo []memo
	// cost of the variables that were evaluated since it was last taken.
	cost int64
	// phase counts the passes of upstream's evaluator: each pays for the
	// variables that it uses.
	phase int
	// current is the variable that is evaluated now, or -1.
	current int
}

// memo is a variable's value, once it is known.
type memo struct {
	val   ref.Val
	cost  int64
	phase int
	// uses are the variables that it selected.
	uses []int
	// defining says that it is being evaluated.
	defining bool
}

func (e *evaluation) judge() Result {
	matches, err := e.matches()
	if err != nil || !matches {
		return Result{Matches: err != nil, Err: err}
	}
	result := Result{Matches: true}
	budget := int64(celconfig.RuntimeCELCostBudget)
	for i := range e.program.validations {
		step := &e.program.validations[i]
		val, failure, err := e.run(step, &budget)
		if err != nil {
			result.Problems, result.Err = nil, fmt.Errorf("spec.validations[%d].expression: %w", i, err)
			return result
		}
		if failure != nil {
			result.Problems = append(result.Problems, Problem{Index: i, Err: fmt.Errorf("spec.validations[%d].expression: %w", i, failure)})
		} else if val != types.True {
			result.Problems = append(result.Problems, Problem{Index: i})
		}
	}
	// Upstream evaluates the messages of validations that hold, too, and
	// refuses the object where that exceeds the budget.
	e.phase++
	failed := 0
	for i := range e.program.messages {
		step := &e.program.messages[i]
		var problem *Problem
		if failed < len(result.Problems) && result.Problems[failed].Index == i {
			problem = &result.Problems[failed]
			failed++
		}
		if step.program == nil {
			continue
		}
		val, failure, err := e.run(step, &budget)
		if err != nil {
			result.Problems, result.Err = nil, fmt.Errorf("spec.validations[%d].messageExpression: %w", i, err)
			return result
		}
		if problem != nil && failure == nil {
			problem.Message = usableMessage(val)
		}
	}
	return result
}

// usableMessage is the message that an expression evaluated to, or nothing
// where it is no string, empty, too long or of several lines.
func usableMessage(val ref.Val) string {
	text, ok := val.(types.String)
	if !ok {
		return ""
	}
	message := strings.TrimSpace(string(text))
	if len(message) > celconfig.MaxEvaluatedMessageExpressionSizeBytes || strings.Contains(message, "\n") {
		return ""
	}
	return message
}

// matches evaluates all match conditions: one that is false outweighs others
// that failed.
func (e *evaluation) matches() (bool, error) {
	if len(e.program.conditions) == 0 {
		return true, nil
	}
	budget := int64(celconfig.RuntimeCELCostBudgetMatchConditions)
	matches := true
	var failures mistakes
	for i := range e.program.conditions {
		step := &e.program.conditions[i]
		val, failure, err := e.run(step, &budget)
		if err != nil {
			return false, fmt.Errorf("spec.matchConditions[%d] %q: %w", i, step.name, err)
		}
		if failure != nil {
			failures = append(failures, fmt.Errorf("spec.matchConditions[%d] %q: %w", i, step.name, failure))
		}
		matches = matches && val != types.False
	}
	e.phase++
	if !matches || len(failures) == 0 {
		return matches, nil
	}
	return false, failures
}

// mistakes are failures that are reported together, in one line.
type mistakes []error

func (m mistakes) Error() string {
	lines := make([]string, 0, len(m))
	for _, one := range m {
		lines = append(lines, one.Error())
	}
	return strings.Join(lines, "; ")
}

func (m mistakes) Unwrap() []error {
	return m
}

// run evaluates one expression and pays for it and for the variables that it
// made evaluate. The failure is the expression's own; after the error nothing
// more can be evaluated.
func (e *evaluation) run(s *step, budget *int64) (val ref.Val, failure, err error) {
	val, details, failure := s.program.ContextEval(e, e)
	spent := e.cost
	e.cost = 0
	if spent > *budget {
		return nil, nil, ErrOutOfBudget
	}
	*budget -= spent
	if details == nil || details.ActualCost() == nil {
		return nil, nil, causeOf(e, failure)
	}
	cost := *details.ActualCost()
	if cost > math.MaxInt64 || int64(cost) > *budget {
		return nil, nil, ErrOutOfBudget
	}
	*budget -= int64(cost)
	switch {
	case failure == nil:
		return val, nil, nil
	case e.Err() != nil:
		return nil, nil, causeOf(e, failure)
	}
	return nil, explained(failure), nil
}

// causeOf is why an evaluation ended early.
func causeOf(ctx context.Context, failure error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted: %w", ctx.Err())
	case failure != nil:
		return explained(failure)
	}
	return errors.New("the cost of the evaluation is not known")
}

// explained is an expression's failure, with the limit that it exceeded where
// that is the cause.
func explained(failure error) error {
	if cancelled, ok := errors.AsType[interpreter.EvalCancelledError](failure); ok && cancelled.Cause == interpreter.CostLimitExceeded {
		return fmt.Errorf("%w: the limit of %d for one expression was exceeded", ErrOutOfBudget, celconfig.PerCallLimit)
	}
	return failure
}

// ResolveName implements interpreter.Activation.
func (e *evaluation) ResolveName(name string) (any, bool) {
	switch name {
	case objectVar:
		if e.in.Object == nil {
			return nil, true
		}
		return e.in.Object, true
	case oldObjectVar:
		if e.in.OldObject == nil {
			return nil, true
		}
		return e.in.OldObject, true
	case requestVar:
		if e.in.Request != nil {
			return e.in.Request, true
		}
		if e.request == nil {
			e.request = requestOf(e.in)
		}
		return e.request, true
	case namespaceVar:
		if e.in.Namespace == nil {
			return nil, true
		}
		if e.namespace == nil {
			e.namespace = visibleNamespace(e.in.Namespace)
		}
		return e.namespace, true
	case variablesVar:
		if e.variables == nil {
			e.variables = &record{shape: e.program.variableShape, resolve: e.variable}
			e.memo = make([]memo, len(e.program.variables))
		}
		return e.variables, true
	case refsVar:
		if e.refs == nil {
			e.refs = &record{shape: e.program.refShape, resolve: e.ref}
			e.lists = make([]ref.Val, len(e.program.refShape.names))
		}
		return e.refs, true
	}
	return nil, false
}

// Parent implements interpreter.Activation.
func (e *evaluation) Parent() interpreter.Activation {
	return nil
}

func (e *evaluation) variable(i int) ref.Val {
	if e.current >= 0 {
		user := &e.memo[e.current]
		user.uses = append(user.uses, i)
	}
	m := &e.memo[i]
	if m.val != nil {
		e.charge(i)
		return m.val
	}
	if m.defining {
		// It does not compile; without end it would take the process.
		return types.NewErr("variable %s refers to itself", e.program.variables[i].name)
	}
	m.defining = true
	outer := e.current
	e.current = i
	m.val, m.cost = e.define(&e.program.variables[i])
	e.current = outer
	m.phase = e.phase
	e.pay(m.cost)
	return m.val
}

// charge makes a phase pay for a variable that an earlier one evaluated, and
// for those that it uses: the budget is what upstream's would be, although
// nothing is evaluated twice.
func (e *evaluation) charge(i int) {
	m := &e.memo[i]
	if m.phase == e.phase {
		return
	}
	m.phase = e.phase
	e.pay(m.cost)
	for _, used := range m.uses {
		e.charge(used)
	}
}

func (e *evaluation) pay(cost int64) {
	if e.cost > math.MaxInt64-cost {
		e.cost = math.MaxInt64
		return
	}
	e.cost += cost
}

// define evaluates a variable. A failure is a value that the expressions which
// select the variable fail with.
func (e *evaluation) define(s *step) (ref.Val, int64) {
	val, details, err := s.program.ContextEval(e, e)
	if details == nil || details.ActualCost() == nil {
		return types.NewErr("composited variable %q fails to evaluate: %w", s.name, causeOf(e, err)), 0
	}
	cost := int64(math.MaxInt64)
	if actual := *details.ActualCost(); actual < math.MaxInt64 {
		cost = int64(actual)
	}
	if err != nil {
		return types.NewErr("composited variable %q fails to evaluate: %w", s.name, explained(err)), cost
	}
	return val, cost
}

func (e *evaluation) ref(i int) ref.Val {
	if e.lists[i] != nil {
		return e.lists[i]
	}
	name := e.program.refShape.names[i]
	if e.in.Refs == nil {
		e.lists[i] = types.NewErr("refs.%s is not available", name)
		return e.lists[i]
	}
	list, err := e.in.Refs.List(name)
	if err != nil {
		e.lists[i] = types.NewErr("listing refs.%s: %w", name, err)
		return e.lists[i]
	}
	e.lists[i] = list.value()
	return e.lists[i]
}

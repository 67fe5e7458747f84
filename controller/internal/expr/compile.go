package expr

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
)

// Program is a compiled Source. It is safe for concurrent use.
type Program struct {
	conditions  []step
	variables   []step
	validations []step
	messages    []step

	variableShape, refShape *shape

	object        Mask
	refs          map[string]Mask
	usesNamespace bool

	beyond, requestOnly []string
}

// step is one compiled expression; without a program, a messageExpression that
// is not there.
type step struct {
	name    string
	program cel.Program
}

// place is where an expression stands in the spec, and what it must return.
type place struct {
	list  string
	index int
	field string
	// want is the only type that may come out; nil for any.
	want *cel.Type
	// variable is the name of the variable that the expression defines.
	variable string
}

func (p place) mistake(kind Kind, value, message string) *Error {
	return &Error{Kind: kind, List: p.list, Index: p.index, Field: p.field, Value: value, Message: message}
}

// mistakeIn is a mistake in a part of an expression.
func (p place) mistakeIn(expression *ast.AST, id int64, value, message string) *Error {
	mistake := p.mistake(Invalid, value, message)
	location := expression.SourceInfo().GetStartLocation(id)
	mistake.Line, mistake.Column = location.Line(), location.Column()+1
	return mistake
}

// compilation is the compiling of one Source.
type compilation struct {
	source              *Source
	plain               *cel.Env
	matchEnvs, ruleEnvs environments
	variablesType       *apiservercel.DeclType
	reads               *reads
	errs                Errors

	// nodes and instructions are those of all expressions so far, and of their regular
	// expressions, and checks the squares of their calls. full says that one of these is more
	// than a rule may have: what follows is not looked at.
	nodes, instructions, checks int
	full                        bool
	// programs is how many were planned.
	programs int
}

func (c *Compiler) compile(source *Source) compiled {
	work := &compilation{
		source:        source,
		plain:         c.plain,
		matchEnvs:     c.matchEnvs,
		variablesType: apiservercel.NewObjectType(variablesTypeName, map[string]*apiservercel.DeclField{}),
		reads:         newReads(source.Refs, c.base.HasFunction),
	}
	if source.RequestsOnly {
		work.matchEnvs = c.requestEnvs
	}
	var err error
	work.ruleEnvs, err = work.matchEnvs.forRule(work.variablesType, newRefsType(source.Refs))
	if err != nil {
		at := place{list: "references", field: "name"}
		return wrong(Errors{at.mistake(Invalid, strings.Join(source.Refs, ", "), err.Error())})
	}
	program := &Program{}
	program.conditions = work.matchConditions(source)
	program.variables = work.variables(source)
	program.validations, program.messages = work.validations(source)
	if len(work.errs) > 0 {
		return wrong(work.errs)
	}
	names := make([]string, 0, len(program.variables))
	for i := range program.variables {
		names = append(names, program.variables[i].name)
	}
	program.variableShape = newShape(variablesTypeName, names)
	program.refShape = newShape(refsTypeName, slices.Clone(source.Refs))
	program.object = Mask{root: work.reads.object}
	program.usesNamespace = work.reads.usesNamespace
	program.beyond = slices.Sorted(maps.Keys(work.reads.beyond))
	program.requestOnly = slices.Sorted(maps.Keys(work.reads.requestOnly))
	program.refs = make(map[string]Mask, len(source.Refs))
	for name, n := range work.reads.refs {
		program.refs[name] = Mask{root: n}
	}
	return compiled{
		program: program,
		weight:  work.programs*expressionWeight + work.nodes*nodeWeight + work.instructions*instructionWeight,
	}
}

// wrong is what becomes of a source with mistakes.
func wrong(errs Errors) compiled {
	weight := 0
	for _, one := range errs {
		weight += len(one.Value) + len(one.Message) + errorWeight
	}
	return compiled{errs: errs, weight: weight}
}

func (w *compilation) matchConditions(source *Source) []step {
	steps := make([]step, 0, len(source.MatchConditions))
	seen := map[string]bool{}
	for i := range source.MatchConditions {
		condition := &source.MatchConditions[i]
		at := place{list: "matchConditions", index: i, field: "name"}
		switch {
		case condition.Name == "":
			w.fail(at.mistake(Required, "", "must be given"))
		case seen[condition.Name]:
			w.fail(at.mistake(Duplicate, condition.Name, "is used twice"))
		}
		seen[condition.Name] = true
		at.field, at.want = "expression", cel.BoolType
		compiled, _ := w.expression(w.matchEnvs, at, condition.Expression)
		compiled.name = condition.Name
		steps = append(steps, compiled)
	}
	return steps
}

func (w *compilation) variables(source *Source) []step {
	steps := make([]step, 0, len(source.Variables))
	seen := map[string]bool{}
	for i := range source.Variables {
		variable := &source.Variables[i]
		at := place{list: "variables", index: i, field: "name"}
		switch {
		case variable.Name == "":
			w.fail(at.mistake(Required, "", "must be given"))
		case !IsIdentifier(variable.Name):
			w.fail(at.mistake(Invalid, variable.Name, "name is not a valid CEL identifier"))
		case !selectsItself(variable.Name):
			w.fail(at.mistake(Invalid, variable.Name, "name is the escape of another one, as __dot__ is of a dot: expressions would select that"))
		case seen[variable.Name]:
			w.fail(at.mistake(Duplicate, variable.Name, "is used twice"))
		}
		seen[variable.Name] = true
		at.field, at.variable = "expression", variable.Name
		compiled, checked := w.expression(w.ruleEnvs, at, variable.Expression)
		compiled.name = variable.Name
		steps = append(steps, compiled)
		fieldType := apiservercel.DynType
		if checked != nil {
			fieldType = declTypeOf(checked.OutputType())
		}
		w.variablesType.Fields[variable.Name] = apiservercel.NewDeclField(variable.Name, fieldType, true, nil, nil)
	}
	return steps
}

func (w *compilation) validations(source *Source) (validations, messages []step) {
	validations = make([]step, 0, len(source.Validations))
	messages = make([]step, len(source.Validations))
	for i := range source.Validations {
		validation := &source.Validations[i]
		at := place{list: "validations", index: i, field: "expression", want: cel.BoolType}
		compiled, _ := w.expression(w.ruleEnvs, at, validation.Expression)
		validations = append(validations, compiled)
		if validation.MessageExpression == "" {
			continue
		}
		at.field, at.want = "messageExpression", cel.StringType
		messages[i], _ = w.expression(w.ruleEnvs, at, validation.MessageExpression)
	}
	return validations, messages
}

func (w *compilation) fail(err *Error) {
	w.errs = append(w.errs, err)
}

// expression compiles one expression and takes note of what it reads. The AST
// is nil where there is a mistake.
func (w *compilation) expression(envs environments, at place, text string) (step, *cel.Ast) {
	if strings.TrimSpace(text) == "" {
		w.fail(at.mistake(Required, text, "must be given"))
		return step{}, nil
	}
	if w.full {
		return step{}, nil
	}
	if mistake := w.bounded(at, text); mistake != nil {
		w.fail(mistake)
		return step{}, nil
	}
	checked, issues := envs.full.Compile(text)
	if issues.Err() != nil {
		w.fail(issueOf(at, text, issues.Errors()))
		return step{}, nil
	}
	if at.want != nil && !checked.OutputType().IsExactType(at.want) {
		w.fail(at.mistake(Invalid, text, fmt.Sprintf("must evaluate to %s but got %s", at.want, checked.OutputType())))
		return step{}, nil
	}
	if typeSize(checked.OutputType()) > maxTypeSize {
		w.fail(at.mistake(Invalid, text, "must not evaluate to so many lists, maps and optional values that are made of one another"))
		return step{}, nil
	}
	if hasCompositeKey(checked.OutputType()) {
		w.fail(at.mistake(Invalid, text, fmt.Sprintf("must not evaluate to %s: the keys of a map are no lists or maps", checked.OutputType())))
		return step{}, nil
	}
	if mistake := w.follow(at, text, checked); mistake != nil {
		w.fail(mistake)
		return step{}, nil
	}
	planner, refused := envs.planner(checked), int64(0)
	program, err := planner.Program(checked,
		cel.InterruptCheckFrequency(celconfig.CheckFrequency),
		cel.CostTracking(&costs{}),
		cel.CustomDecorator(w.patterns(planner, &refused)),
	)
	if errors.Is(err, errPattern) {
		w.fail(at.mistakeIn(checked.NativeRep(), refused, text, err.Error()))
		return step{}, nil
	}
	if err != nil {
		w.fail(at.mistake(Invalid, text, oneLine("program instantiation failed: "+err.Error())))
		return step{}, nil
	}
	w.programs++
	return step{program: program}, checked
}

// follow takes note of what a checked expression reads, and refuses what only
// a real request has.
func (w *compilation) follow(at place, text string, checked *cel.Ast) *Error {
	native := checked.NativeRep()
	w.reads.requestUses, w.reads.refUses = w.reads.requestUses[:0], w.reads.refUses[:0]
	w.reads.variablesUses, w.reads.rightsUses = w.reads.variablesUses[:0], w.reads.rightsUses[:0]
	w.reads.growth.follow(native)
	value := w.reads.follow(native.Expr(), nil)
	mistakeAt := func(id int64, message string) *Error { return at.mistakeIn(native, id, text, message) }
	if w.source.NoRightsOfOthers && len(w.reads.rightsUses) > 0 {
		return mistakeAt(w.reads.rightsUses[0], rightsOfOthers)
	}
	if at.variable != "" {
		w.reads.growth.keep(native.Expr().ID(), value.fresh)
	}
	if uses := w.reads.growth.uses; len(uses) > 0 {
		return mistakeAt(uses[0].id, uses[0].why)
	}
	if len(w.reads.variablesUses) > 0 {
		return mistakeAt(w.reads.variablesUses[0], variablesWhole)
	}
	if at.field == "messageExpression" && w.source.NoRefsInMessages && len(w.reads.refUses) > 0 {
		return mistakeAt(w.reads.refUses[0], refsInMessage)
	}
	for _, use := range w.reads.requestUses {
		message := ""
		switch use.field {
		case "":
			message = "request can only be used by its fields"
		case "userInfo", "options", "dryRun":
			message = "request." + use.field + onlyRequests
		default:
			continue
		}
		if w.source.RequestsOnly {
			w.reads.requestOnly[strings.TrimSuffix("request."+use.field, ".")] = true
			continue
		}
		return mistakeAt(use.id, message)
	}
	if at.variable != "" {
		// How much of a variable's value is read shows where it is used.
		w.reads.variables[at.variable] = value
		if len(w.reads.refUses) > 0 {
			w.reads.refVariables[at.variable] = true
		}
		return nil
	}
	value.whole()
	return nil
}

// issueOf is the first of the issues that the parser or checker found, with
// the number of the others.
func issueOf(at place, text string, issues []*common.Error) *Error {
	first := issues[0]
	message := explain(at, first.Message)
	if len(issues) > 1 {
		message = fmt.Sprintf("%s (and %d more)", message, len(issues)-1)
	}
	mistake := at.mistake(Invalid, text, oneLine(message))
	if first.Location != nil && first.Location.Line() > 0 {
		mistake.Line, mistake.Column = first.Location.Line(), first.Location.Column()+1
	}
	return mistake
}

// IsIdentifier says whether expressions can select the name of a variable.
func IsIdentifier(name string) bool {
	for i, c := range name {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	switch name {
	case "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if",
		"import", "let", "loop", "package", "namespace", "return", "var", "void", "while":
		return false
	}
	return name != ""
}

// onlyRequests ends messages about what an object that exists does not have.
const onlyRequests = " has no meaning outside admission: only a rule whose modes are [Admission] may use it"

// variablesWhole refuses what a variable could read itself by, without end: the API server
// would, too, until its stack is full.
const variablesWhole = "variables can only be used by name, as in variables.x"

// rightsOfOthers refuses what an author could learn the rights of others by.
const rightsOfOthers = "a namespaced Rule can ask what the one who makes the request may do, and neither what a service account may nor why"

// refsInMessage refuses a message that would show what its author may not read.
const refsInMessage = "refs cannot be used here: the message of a namespaced Rule with mode Admission would show objects that its author may not read"

// explain says more about names that exist upstream or in other places of a
// rule.
func explain(at place, message string) string {
	message = strings.TrimSuffix(message, " (in container '')")
	name, found := strings.CutPrefix(message, "undeclared reference to '")
	if !found {
		return message
	}
	name = strings.TrimSuffix(name, "'")
	switch name {
	case "authorizer", "authorizer.requestResource":
		return message + ": it" + onlyRequests
	case "params":
		return message + ": a rule has no parameters"
	case namespaceVar, variablesVar, refsVar:
		return message + ": it is not available in " + at.list
	}
	return message
}

// oneLine replaces line breaks and runs of spaces by one space.
func oneLine(text string) string {
	return strings.Join(strings.Fields(text), " ")
}

package expr

import (
	"math"
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	admissioncel "k8s.io/apiserver/pkg/admission/plugin/cel"
)

// places is what a value may be a part of: some nodes of an object, or a list
// or map that an expression builds, of whose entries elem says the same. The
// zero value is a value that shares nothing with an object, such as a number
// that was computed.
type places struct {
	nodes []*node
	elem  *places

	// extent is how large it may be, and fresh how much of that the expression made: what
	// is only put into a list takes no memory. each is how large one of those entries may
	// be.
	// count is how many entries there are at most, 0 for any number.
	extent, fresh extent
	each, count   float64
	// upTo is how large a number may be that is the size of something, 0 for one that may
	// be any.
	upTo float64
}

// maxNodes is how many places one value is followed as. Beyond it everything
// that it may be is kept whole, so that a chain of conditional variables does
// not double the work with every link.
const maxNodes = 64

func join(a, b places) places {
	joined := places{elem: a.elem, nodes: slices.Clone(a.nodes), extent: a.extent.or(b.extent), fresh: a.fresh.or(b.fresh), each: max(a.each, b.each)}
	if a.count > 0 && b.count > 0 {
		joined.count = max(a.count, b.count)
	}
	if a.upTo > 0 && b.upTo > 0 {
		joined.upTo = max(a.upTo, b.upTo)
	}
	for _, n := range b.nodes {
		if !slices.Contains(joined.nodes, n) {
			joined.nodes = append(joined.nodes, n)
		}
	}
	if len(joined.nodes) > maxNodes {
		joined.whole()
		joined.nodes = nil
	}
	switch {
	case a.elem == nil:
		joined.elem = b.elem
	case b.elem != nil && a.elem != b.elem:
		joined.elem = new(join(*a.elem, *b.elem))
	}
	return joined
}

// whole marks everything below the value as read.
func (p places) whole() {
	for _, n := range p.nodes {
		n.all = true
	}
	if p.elem != nil {
		p.elem.whole()
	}
}

// field is what selecting a constant name from the value may be a part of.
func (p places) field(name string) places {
	return p.below(func(n *node) *node { return n.field(name) })
}

// element is what iterating or indexing the value may be a part of.
func (p places) element() places {
	return p.below((*node).element)
}

// below is as large as the whole of which it is a part.
func (p places) below(step func(*node) *node) places {
	selected := places{nodes: make([]*node, 0, len(p.nodes)), extent: p.extent}
	for _, n := range p.nodes {
		selected.nodes = append(selected.nodes, step(n))
	}
	if p.elem == nil {
		return selected
	}
	part := *p.elem
	part.extent, part.fresh = extent{}, extent{}
	if own := p.extent; len(p.nodes) == 0 && own.once+own.all+own.paid > 0 {
		selected.extent = extent{once: p.each}
	}
	return join(selected, part)
}

// reads collects what the expressions of one rule read. Values are followed
// from where they are selected to where they are used: what is only selected
// from further is kept along the path, and what is compared, passed to a
// function or returned is kept whole.
type reads struct {
	object, request, namespace *node
	refs                       map[string]*node
	variables                  map[string]places
	usesNamespace              bool

	// known says whether the API server has a function. beyond are the names of
	// what it has not, and requestOnly of what only a real request has.
	known               func(function string) bool
	beyond, requestOnly map[string]bool

	// requestUses are where request is used, for the error about the fields
	// that only a real request has.
	requestUses []requestUse

	// variablesUses are where variables is used as a whole, and rightsUses where
	// somebody else is asked about of the authorizer, or for its reasons.
	variablesUses, rightsUses []int64

	growth growth

	// refUses are where refs, or a variable that uses them, is used, and
	// refVariables those variables.
	refUses      []int64
	refVariables map[string]bool
}

// requestUse is one selection of a field of request, or with an empty field
// the use of request as a whole.
type requestUse struct {
	field string
	id    int64
}

func newReads(refs []string, known func(function string) bool) *reads {
	r := &reads{
		known:       known,
		beyond:      map[string]bool{},
		requestOnly: map[string]bool{},
		object:      &node{},
		request:     &node{},
		namespace:   &node{},
		refs:        make(map[string]*node, len(refs)),
		variables:   map[string]places{},

		refVariables: map[string]bool{},
	}
	for _, name := range refs {
		r.refs[name] = &node{}
	}
	return r
}

// locals are the variables of the comprehensions around an expression.
type locals struct {
	parent *locals
	name   string
	value  places
}

func (l *locals) find(name string) (places, bool) {
	for at := l; at != nil; at = at.parent {
		if at.name == name {
			return at.value, true
		}
	}
	return places{}, false
}

func (l *locals) with(name string, value places) *locals {
	return &locals{parent: l, name: name, value: value}
}

// follow returns what the value of an expression may be a part of, and how large it may be.
func (r *reads) follow(e ast.Expr, scope *locals) places {
	value := r.followed(e, scope)
	if fixed, ok := r.growth.fixed(e.ID()); ok {
		value.extent, value.fresh = fixed, extent{}
	}
	if value.elem == nil || len(value.nodes) > 0 {
		// Of what the expression did not list itself, one entry may be all of it.
		value.each = max(value.each, r.growth.most(value.extent))
	}
	return value
}

func (r *reads) followed(e ast.Expr, scope *locals) places {
	switch e.Kind() {
	case ast.IdentKind:
		return r.ident(e, scope)
	case ast.SelectKind:
		return r.selection(e, scope)
	case ast.CallKind:
		return r.call(e, scope)
	case ast.ListKind:
		var list places
		for _, one := range e.AsList().Elements() {
			list = r.listed(list, r.follow(one, scope))
		}
		return list
	case ast.MapKind:
		var all places
		for _, entry := range e.AsMap().Entries() {
			key := r.follow(entry.AsMapEntry().Key(), scope)
			key.whole()
			all = r.listed(all, r.follow(entry.AsMapEntry().Value(), scope))
			all.extent, all.fresh = all.extent.plus(key.extent), all.fresh.plus(key.fresh)
			all.each = max(all.each, r.growth.most(key.extent))
		}
		return all
	case ast.StructKind:
		var all places
		for _, f := range e.AsStruct().Fields() {
			value := r.follow(f.AsStructField().Value(), scope)
			value.whole()
			all = r.listed(all, places{extent: value.extent, fresh: value.fresh})
		}
		return all
	case ast.ComprehensionKind:
		return r.comprehension(e, scope)
	case ast.LiteralKind:
		return literal(e.AsLiteral())
	case ast.UnspecifiedExprKind:
	}
	return places{}
}

// listed is a list or map that has one value more.
func (r *reads) listed(list, value places) places {
	elem := value
	if list.elem != nil {
		elem = join(*list.elem, value)
	}
	return places{
		elem: &elem, each: max(list.each, r.growth.most(value.extent)), count: list.count + 1, fresh: list.fresh.plus(value.fresh),
		extent: list.extent.plus(value.extent).plus(extent{once: scalar}),
	}
}

func literal(value ref.Val) places {
	switch value := value.(type) {
	case types.String:
		return places{extent: extent{once: float64(len(value))}}
	case types.Bytes:
		return places{extent: extent{once: float64(len(value))}}
	case types.Int:
		if 0 <= value && value <= maxRange {
			return places{upTo: max(float64(value), 1)}
		}
	}
	return places{}
}

func (r *reads) ident(e ast.Expr, scope *locals) places {
	// A leading dot names the root although a comprehension's variable has its
	// name.
	name, rooted := strings.CutPrefix(e.AsIdent(), ".")
	if value, ok := scope.find(name); ok && !rooted {
		return value
	}
	switch name {
	case objectVar:
		return places{nodes: []*node{r.object}, extent: extent{once: maxInput}}
	case requestVar:
		r.requestUses = append(r.requestUses, requestUse{id: e.ID()})
		return places{nodes: []*node{r.request}, extent: extent{once: maxInput}}
	case namespaceVar:
		r.usesNamespace = true
		return places{nodes: []*node{r.namespace}, extent: extent{once: maxInput}}
	case variablesVar:
		r.variablesUses = append(r.variablesUses, e.ID())
	case refsVar:
		r.refUses = append(r.refUses, e.ID())
		r.beyond[refsVar] = true
		for _, n := range r.refs {
			n.all = true
		}
	case admissioncel.AuthorizerVarName, admissioncel.RequestResourceAuthorizerVarName:
		r.requestOnly[admissioncel.AuthorizerVarName] = true
	}
	return places{extent: extent{once: maxInput}}
}

func (r *reads) selection(e ast.Expr, scope *locals) places {
	s := e.AsSelect()
	if value, ok := r.rootField(e.ID(), s.Operand(), s.FieldName(), scope); ok {
		if s.IsTestOnly() {
			return places{}
		}
		return value
	}
	value := r.follow(s.Operand(), scope).field(s.FieldName())
	if s.IsTestOnly() {
		return places{}
	}
	if isName(s, scope) {
		value.extent = extent{once: maxName}
	}
	return value
}

// rootField is a field of one of the variables that is not a part of the
// object.
func (r *reads) rootField(id int64, operand ast.Expr, name string, scope *locals) (places, bool) {
	if operand.Kind() != ast.IdentKind {
		return places{}, false
	}
	root, rooted := strings.CutPrefix(operand.AsIdent(), ".")
	if _, shadowed := scope.find(root); shadowed && !rooted {
		return places{}, false
	}
	switch root {
	case variablesVar:
		if r.refVariables[fieldName(name)] {
			r.refUses = append(r.refUses, id)
		}
		value := r.variables[fieldName(name)]
		// The variable made it, and once: it is there as often as it is used.
		value.extent, value.fresh = value.extent.there(), extent{}
		return value, true
	case refsVar:
		n, ok := r.refs[fieldName(name)]
		if !ok {
			return places{}, false
		}
		r.refUses = append(r.refUses, id)
		r.beyond[refsVar+"."+fieldName(name)] = true
		return places{elem: &places{nodes: []*node{n}}, extent: extent{once: maxInput}, each: maxInput}, true
	case requestVar:
		r.requestUses = append(r.requestUses, requestUse{field: name, id: id})
		value := places{nodes: []*node{r.request.field(name)}, extent: extent{once: maxInput}}
		if slices.Contains([]string{"name", "namespace", "operation", "uid"}, name) {
			value.extent = extent{once: maxName}
		}
		return value, true
	}
	return places{}, false
}

func (r *reads) comprehension(e ast.Expr, scope *locals) places {
	c, g := e.AsComprehension(), &r.growth
	ranged := r.follow(c.IterRange(), scope)
	elements := ranged.element()
	elements.extent = extent{of: map[int64]float64{e.ID(): 1}}
	accu := r.follow(c.AccuInit(), scope)
	// What it has come to is added below.
	before := accu
	before.extent, before.fresh = extent{}, extent{}
	step := scope.with(c.AccuVar(), before)
	if c.HasIterVar2() {
		// The first variable is a key or an index, which shares nothing.
		step = step.with(c.IterVar(), places{extent: elements.extent}).with(c.IterVar2(), elements)
	} else {
		step = step.with(c.IterVar(), elements)
	}
	g.single[e.ID()] = g.most(ranged.extent)
	if ranged.elem != nil && len(ranged.nodes) == 0 {
		g.single[e.ID()] = ranged.each
	}
	r.follow(c.LoopCondition(), step).whole()
	each := r.follow(c.LoopStep(), step)
	count := math.Inf(1)
	if c.IterRange().Kind() == ast.ListKind {
		count = float64(c.IterRange().AsList().Size())
	} else if ranged.count > 0 {
		count = ranged.count
	}
	extent := accu.extent.plus(g.round(e.ID(), ranged.extent, each.extent, count))
	fresh := accu.fresh.plus(g.round(e.ID(), ranged.extent, each.fresh, count))
	accu = join(accu, each)
	accu.extent, accu.fresh = extent, g.bounded(e.ID(), fresh, maxMade, hintLoop)
	accu.count = ranged.count
	if count == 0 { // what optMap has for its value
		accu.extent = accu.extent.there()
	}
	return r.follow(c.Result(), scope.with(c.AccuVar(), accu))
}

func (r *reads) call(e ast.Expr, scope *locals) places {
	c := e.AsCall()
	args := c.Args()
	if !r.known(c.FunctionName()) {
		r.beyond[c.FunctionName()] = true
	}
	switch c.FunctionName() {
	case "serviceAccount", "reason", "error":
		r.rightsUses = append(r.rightsUses, e.ID())
	case operators.Conditional:
		r.follow(args[0], scope).whole()
		return join(r.follow(args[1], scope), r.follow(args[2], scope))
	case operators.Index, operators.OptIndex, operators.OptSelect:
		return r.index(e, scope)
	case operators.Equals, operators.NotEquals, operators.In:
		r.compare(e, scope)
		return places{}
	case operators.Add:
		return r.concatenation(e.ID(), args, scope)
	case operators.Subtract:
		return places{upTo: r.numbers(args, scope), extent: extent{once: scalar}}
	case "size":
		value := r.receiver(c, scope)
		value.element()
		return places{upTo: max(r.growth.most(value.extent), 1)}
	case "lists.range":
		n := r.numbers(args, scope)
		if n == 0 || n*scalar > maxMade {
			r.growth.refuse(e.ID(), hintRange)
		}
		return places{extent: extent{once: n * scalar}, fresh: extent{once: n * scalar}}
	case "dyn", "optional.of", "value":
		return r.receiver(c, scope)
	case "hasValue":
		r.receiver(c, scope)
		return places{}
	case "or", "orValue":
		if c.IsMemberFunction() && len(args) == 1 {
			return join(r.follow(c.Target(), scope), r.follow(args[0], scope))
		}
	}
	return r.applied(e, scope)
}

// compare has two values be read as a whole, unless it is asked whether one is null.
func (r *reads) compare(e ast.Expr, scope *locals) {
	args := e.AsCall().Args()
	left, right := r.follow(args[0], scope), r.follow(args[1], scope)
	if e.AsCall().FunctionName() == operators.In || !isNull(args[0]) && !isNull(args[1]) {
		left.whole()
		right.whole()
	}
	// They are compared as far as the smaller one goes.
	if r.growth.most(left.extent) > maxHeld {
		r.growth.bounded(e.ID(), right.extent, maxHeld, hintAgain)
	}
}

// applied is what a function returns that is given values as a whole.
func (r *reads) applied(e ast.Expr, scope *locals) places {
	c := e.AsCall()
	var given, fresh extent
	use := func(e ast.Expr) extent {
		value := r.follow(e, scope)
		value.whole()
		given, fresh = given.plus(value.extent), fresh.plus(value.fresh)
		return value.extent
	}
	if c.IsMemberFunction() {
		use(c.Target())
	}
	parts := make([]extent, 0, len(c.Args()))
	for _, arg := range c.Args() {
		parts = append(parts, use(arg))
	}
	returned := r.growth.called(e, given, parts)
	switch c.FunctionName() {
	case "cel.@mapInsert", "string": // what there is goes into a map, or is a text already
	case "split", "findAll": // each part is a value of its own
		fresh = returned.times(scalar)
	default:
		fresh = returned
	}
	return places{extent: returned, fresh: fresh}
}

// numbers is how large the first of some numbers may be, and the second, where it is the
// size of something, or a number that stands there; 0 where it may be any.
func (r *reads) numbers(args []ast.Expr, scope *locals) float64 {
	out := r.follow(args[0], scope)
	out.whole()
	for _, arg := range args[1:] {
		value := r.follow(arg, scope)
		value.whole()
		if value.upTo == 0 {
			return 0
		}
	}
	return out.upTo
}

// receiver is the only operand of a call: its target or its argument.
func (r *reads) receiver(c ast.CallExpr, scope *locals) places {
	var value places
	if c.IsMemberFunction() {
		value = r.follow(c.Target(), scope)
	}
	for _, arg := range c.Args() {
		value = join(value, r.follow(arg, scope))
	}
	return value
}

func (r *reads) index(e ast.Expr, scope *locals) places {
	args := e.AsCall().Args()
	key := args[1]
	if key.Kind() == ast.LiteralKind {
		switch literal := key.AsLiteral().(type) {
		case types.String:
			if value, ok := r.rootField(e.ID(), args[0], string(literal), scope); ok {
				return value
			}
			return r.follow(args[0], scope).field(string(literal))
		case types.Int, types.Uint, types.Double:
			return r.follow(args[0], scope).element()
		}
	}
	r.follow(key, scope).whole()
	return r.follow(args[0], scope).element()
}

// concatenation of lists that the expression builds itself keeps track of
// their elements; anything else that is added is used whole.
func (r *reads) concatenation(id int64, args []ast.Expr, scope *locals) places {
	var sum places
	var given extent
	upTo, known, empty := 0.0, true, false // as what a loop puts its elements behind
	for _, arg := range args {
		value := r.follow(arg, scope)
		places{nodes: value.nodes}.whole()
		sum = join(sum, places{elem: value.elem, each: value.each})
		if value.elem == nil {
			sum.each = max(sum.each, r.growth.most(value.extent))
		}
		sum.fresh = sum.fresh.plus(value.fresh)
		given, empty = given.plus(value.extent), empty || r.growth.most(value.extent) == 0
		upTo, known = upTo+value.upTo, known && value.upTo > 0
	}
	sum.extent = given
	if appends := empty && r.growth.overload(id, overloads.AddList); !appends {
		sum.extent = r.growth.sum(id, given)
	}
	if known {
		sum.upTo = upTo
	}
	if !r.growth.overload(id, overloads.AddList) {
		sum.fresh = sum.extent
	}
	return sum
}

func isNull(e ast.Expr) bool {
	if e.Kind() != ast.LiteralKind {
		return false
	}
	_, ok := e.AsLiteral().(types.Null)
	return ok
}

package expr

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/cel-go/common/ast"
)

// Without these bounds each of the rules takes the process that compiles or evaluates it,
// and some of them the API server.
func TestExpressionsThatWouldTakeTheProcess(t *testing.T) {
	t.Parallel()
	keys := &strings.Builder{}
	for i := range 64 {
		fmt.Fprintf(keys, ".map(a%d,{a%d:a%d})", i, i, i)
	}
	overVariables := source("variables.v40 == null").with("v0", "{[1]: [1]}")
	for i := range 40 {
		overVariables.with(fmt.Sprintf("v%d", i+1), fmt.Sprintf("{variables.v%d: variables.v%d}", i, i))
	}
	doubled := func(first, step string) *Source {
		s := source("variables.v40 != null").with("v0", first)
		for i := range 40 {
			s.with(fmt.Sprintf("v%d", i+1), strings.ReplaceAll(step, "@", fmt.Sprintf("variables.v%d", i)))
		}
		return s
	}
	split, ranges := source("variables.v0 != null"), source("variables.v0 != null")
	for i := range 62 {
		split.with(fmt.Sprintf("v%d", i), "string(object.a).split('')")
		ranges.with(fmt.Sprintf("v%d", i), "lists.range(size(object.a))")
	}
	nested := source("variables.v10 != null").with("v0", "[1]")
	for i := range 10 {
		nested.with(fmt.Sprintf("v%d", i+1), strings.Repeat("[", 20)+fmt.Sprintf("variables.v%d", i)+strings.Repeat("]", 20))
	}
	const grows = "this may become larger than"
	reread := func(s *Source, validation string) *Source {
		s.Validations[0].Expression = validation
		return s
	}
	kept := doubled("object.a + 'x'", "object.a + 'x'")
	for i := range 40 {
		kept.with(fmt.Sprintf("w%d", i), "'x' + object.a")
	}
	tests := map[string]struct {
		source *Source
		want   string
	}{
		"a text and itself":           {doubled("object.metadata.name", "@ + @"), grows},
		"a list and itself":           {doubled("[1]", "@ + @"), grows},
		"a list of itself, flat":      {doubled("[object]", "[@, @].flatten()"), grows},
		"numbers, flat":               {reread(doubled("1", "[@, @]"), "variables.v30.flatten(40).size() > 0"), grows},
		"numbers, written down":       {reread(doubled("1", "[@, @]"), "'%s'.format([variables.v30]) == ''"), grows},
		"numbers, compared":           {reread(doubled("1", "[@, @]"), "variables.v40 == variables.v40"), grows},
		"an empty list beside":        {doubled("[object.a]", "(@.distinct() + []).map(e, e + e)"), grows},
		"a message of protobuf":       {doubled("object.a", "google.protobuf.StringValue{value: @ + @}"), grows},
		"texts that are kept":         {kept, "all variables that put texts together count"},
		"a text for each element":     {source("lists.range(1000).map(i, object.a + object.a).size() == 0"), "string(a) + string(b)"},
		"a text for each character":   {source("object.a.split('').map(c, object.a + object.b).size() == 0"), "string(a) + string(b)"},
		"formatted for each":          {source("lists.range(1000).map(i, '%s'.format([object.a])).size() == 0"), "string(a) + string(b)"},
		"what is no name for each":    {source("[object.a].map(object, lists.range(1000).map(i, '%s'.format([object.metadata.name]))).size() == 0"), grows},
		"an entry of one of two":      {doubled("dyn((has(object.a) ? string(object.b).split(',') : ['x'])[0])", "@ + @"), grows},
		"a key for each":              {source("{object.a: 1}.map(k, lists.range(1000).map(i, k + k)).size() == 0"), grows},
		"a reference for each":        {source("refs.cms.map(r, lists.range(1000).map(i, r.data.a + r.data.b)).size() == 0").referring("cms"), grows},
		"a reference and itself":      {doubled("refs.cms[0].data.a", "@ + @").referring("cms"), grows},
		"a variable for each":         {source("lists.range(1000).map(i, '%s'.format([variables.v])).size() == 0").with("v", "string(object.a) + ''"), grows},
		"a variable twice for each":   {source("lists.range(1000).map(i, dyn(variables.v) + dyn(variables.v)).size() == 0").with("v", "string(object.a) + ''"), grows},
		"an optional for each":        {source("optional.of(string(object.a) + '').optMap(v, lists.range(1000).map(i, '%s'.format([v])).size()).hasValue()"), grows},
		"characters that are kept":    {split, "all variables that put texts together count"},
		"numbers that are kept":       {ranges, "all variables that put texts together count"},
		"long numbers for each":       {source("lists.range(1000).map(x, lists.range(1000).map(y, '" + strings.Repeat("%.99f", 264) + "'.format([" + strings.Repeat("1e308,", 263) + "1e308]))).size() == 0"), grows},
		"joined from each":            {source("lists.range(1000).map(i, object.a).join('') == ''"), grows},
		"an outer element for each":   {source("object.a.map(a, object.b.map(b, a.c + b.c)).size() == 0"), "string(a) + string(b)"},
		"replaced by itself":          {source("object.a.replace('', object.a) == ''"), "replace a text that stands"},
		"replaced by itself, once":    {source("object.a.replace('a', object.a) == ''"), "replace a text that stands"},
		"joined by itself":            {source("object.a.split('').join(object.a) == ''"), "join fewer parts"},
		"in hexadecimal":              {doubled("object.metadata.name", "'%x'.format([@])"), grows},
		"in comprehensions":           {source("[object.a]" + strings.Repeat(".map(a, a + a)", 10) + ".size() == 1"), grows},
		"by format":                   {doubled("object.a", "'%s%s'.format([@, @])"), grows},
		"by join":                     {doubled("object.a", "[@, @].join('')"), grows},
		"by replace":                  {doubled("string(object.a)", "@.replace('a', @)"), "replace a text that stands"},
		"by replace with more":        {doubled("string(object.a)", "@.replace('a', 'aaa')"), grows},
		"by quote":                    {doubled("string(object.a)", "strings.quote(@)"), grows},
		"a name with a dash":          {source("true").with("x__dash__y", "1"), "variables[0].name"},
		"a name with underscores":     {source("true").with("a__b__c", "1"), "variables[0].name"},
		"types by keys of a list":     {source(strings.Repeat("[", 16) + "1" + strings.Repeat("]", 16) + ".map(a,{a:a}).map(b,{b:b}).map(c,{c:c}).map(d,{d:d}).map(e,{e:e}).map(f,{f:f}).map(g,{g:g}).map(h,{h:h}).all(x, x == x" + strings.Repeat(" && x == x", 700) + ")"), "with computed keys"},
		"many uses of a deep type":    {source(strings.Repeat("[", 28) + "1" + strings.Repeat("]", 28) + ".map(a,{a:a}).map(b,{b:b}).all(x, x == x" + strings.Repeat(" && x == x", 800) + ")"), "takes too much to compile"},
		"a huge regular expression":   {source("object.metadata.name.matches('(?:" + strings.Repeat("a", 3300) + "){1000}')"), "regular expression"},
		"one of a conversion":         {source("object.metadata.name.matches(string('(?:" + strings.Repeat("a", 3300) + "){1000}'))"), "the regular expression is too large"},
		"one of bytes":                {source("matches(object.metadata.name, string(b'(?:" + strings.Repeat("a", 3300) + "){1000}'))"), "the regular expression is too large"},
		"one of any type":             {source("object.metadata.name.findAll(dyn('(?:" + strings.Repeat("a", 3300) + "){1000}'), 2).size() == 0"), "the regular expression is too large"},
		"one of nested repeats":       {source("object.metadata.name.find('(?:" + strings.Repeat("a*b", 50) + "){200}') == ''"), "regular expression"},
		"a format of the object's":    {source("object.a.format([1.0]) == ''"), "format needs a text"},
		"a long number":               {source("'%.999999999f'.format([1.0]) == ''"), "format needs a text"},
		"a long list of numbers":      {source("lists.range(99999999999).size() > 0"), "lists.range needs"},
		"one as the object says":      {source("lists.range(int(object.spec.replicas)).size() > 0"), "lists.range needs"},
		"lists of lists":              {source(strings.Repeat("[", 40) + "1" + strings.Repeat("]", 40) + ".size() == 1"), "made of one another"},
		"lists of lists of variables": {nested, "made of one another"},
		"a chain of lists":            {source("[1]" + strings.Repeat(".map(a, [a])", 20) + ".size() == 1"), "made of one another"},
		"optMap of optMap":            {source("optional.of(1)" + strings.Repeat(".optMap(x,x)", 40) + ".hasValue()"), "is too large"},
		"optFlatMap of optFlatMap":    {source("optional.of(1)" + strings.Repeat(".optFlatMap(x,optional.of(x))", 40) + ".hasValue()"), "is too large"},
		"optMap, and a syntax error":  {source("optional.of(1)" + strings.Repeat(".optMap(x,x)", 40) + ".hasValue() =="), "Syntax error"},
		"types by keys":               {source("[1]" + keys.String() + ".size() == 1"), "with computed keys"},
		"types by keys of variables":  {overVariables, "variables[0].expression: must not evaluate to map(list(int), list(int))"},
		"a variable reads itself":     {source("variables.x == 1").with("x", "dyn(variables)['x']"), "can only be used by name"},
		"a variable reads all":        {source("variables.x").with("x", "selectorMatches(variables, {})"), "can only be used by name"},
		"variables in a list":         {source("[variables].exists(v, v.x == 1)").with("x", "1"), "can only be used by name"},
		"a variable, in a validation": {source("dyn(variables).x == 1").with("x", "1"), "can only be used by name"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, errs := newCompiler(t).Compile(tc.source)
			if !strings.Contains(errs.Error(), tc.want) {
				t.Errorf("got %v, want %q in it", errs, tc.want)
			}
		})
	}
}

// TestExpressionsThatWouldTakeTheProcessTogether has each of the expressions be within the
// bounds of one.
func TestExpressionsThatWouldTakeTheProcessTogether(t *testing.T) {
	t.Parallel()
	list := "optional.of([1" + strings.Repeat(",1", 2000) + "])"
	doubled := list + ".optMap(x,x).optMap(x,x).hasValue()"
	pattern := "object.a.matches('(?:aaaaaaaaaa){900}')"
	converted := "object.a.matches(string('(?:aaaaaaaaaa){900}'))"
	classes := "object.a.matches('" + strings.Repeat(`\\pL`, 70) + "')"
	someCalls := strings.Repeat("object[0] == 1 || ", 249) + "true"
	const (
		calls    = "takes too much to compile beside those before it: it has 1002 calls and lists, and the squares of what each expression of a rule has may be 1000000 together"
		fewer    = "takes too much to compile beside those before it: it has 498 calls and lists, and the squares of what each expression of a rule has may be 1000000 together"
		tooLarge = "is too large beside those before it: with optMap and optFlatMap expanded, as each has what it is called on twice, the expressions of a rule may have 32768 parts together"
		patterns = "the regular expression is too large beside those before it: with their repeats those of a rule may have 30000 parts together"
	)
	tests := map[string]struct {
		source      *Source
		field, want string
	}{
		"in validations": {source(doubled, doubled, doubled, doubled, doubled, doubled), "validations[4].expression", tooLarge},
		"in all lists": {
			source("true", doubled).saying(doubled+" ? 'a' : 'b'").when("a", doubled).when("b", doubled).with("v", doubled),
			"validations[1].messageExpression", tooLarge,
		},
		"calls":                          {source("true", strings.Repeat("1 in [] || ", 501)+"true"), "validations[1].expression", calls},
		"calls in validations":           {source(someCalls, someCalls, someCalls, someCalls, someCalls), "validations[4].expression", fewer},
		"calls and no operators":         {source("true", strings.Repeat("1 in [object[0][0][0]] || ", 201)+"true"), "validations[1].expression", strings.Replace(calls, "1002", "1005", 1)},
		"regular expressions":            {source(pattern, pattern, pattern, pattern, pattern), "validations[3].expression", patterns},
		"regular expressions in one":     {source("true", pattern+strings.Repeat(" || "+pattern, 5)), "validations[1].expression", patterns},
		"of conversions":                 {source(converted, converted, converted, converted, converted), "validations[3].expression", patterns},
		"regular expressions of classes": {source(classes, classes, classes, classes, classes), "validations[3].expression", patterns},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.source.Len() > MaxText {
				t.Fatalf("the text has %d bytes", tc.source.Len())
			}
			_, errs := newCompiler(t).Compile(tc.source)
			if len(errs) != 1 || errs[0].Path() != tc.field || errs[0].Message != tc.want {
				t.Errorf("got %.300s, want %s: %s", errs.Error(), tc.field, tc.want)
			}
		})
	}
}

// TestSizeWithMacrosExpanded compares the size that is worked out beforehand with what there
// is when macros are expanded. A text that copies nothing has no more nodes than bytes.
func TestSizeWithMacrosExpanded(t *testing.T) {
	t.Parallel()
	c := newCompiler(t)
	for text, copies := range map[string]bool{
		"a+a+a+a == a ? a : !a":                                               false,
		"[a,a,a,{a:a}].size() < -a":                                           false,
		"a.b.c[a].?d[?a].e":                                                   false,
		"a.map(a,a).map(a,a,a).filter(a,a)":                                   false,
		"a.all(a,a).exists(a,a)":                                              false,
		"a.exists_one(a,a).exists_one(a,a)":                                   false,
		"a.all(a,b,a).exists(a,b,a)":                                          false,
		"a.exists_one(a,b,a).existsOne(a,b,a)":                                false,
		"a.transformList(a,b,a)":                                              false,
		"a.transformList(a,b,a,a)":                                            false,
		"a.transformMap(a,b,a)":                                               false,
		"a.transformMap(a,b,a,a)":                                             false,
		"a.transformMapEntry(a,b,{a:a})":                                      false,
		"a.transformMapEntry(a,b,a,{a:a})":                                    false,
		"has(a.b) && selectorMatches(a.b,a.c)":                                false,
		"a.optMap(a,a)":                                                       false, // what it copies is short
		"a.optFlatMap(a,a)":                                                   false,
		"a.b.map(a,a).optMap(a,a.c+a.d)":                                      true,
		"a.b.map(a,a).optFlatMap(a,a.c+a.d)":                                  true,
		"a" + strings.Repeat(".optMap(a,a)", 11):                              true,
		"a" + strings.Repeat(".optMap(a,a).optFlatMap(a,a.optMap(a,a.b))", 4): true,
	} {
		plain, issues := c.plain.Parse(text)
		if issues.Err() != nil {
			t.Fatal(issues.Err())
		}
		expanded, issues := c.matchEnvs.full.Parse(text)
		if issues.Err() != nil {
			t.Fatal(issues.Err())
		}
		nodes := 0
		ast.PreOrderVisit(expanded.NativeRep().Expr(), ast.NewExprVisitor(func(ast.Expr) { nodes++ }))
		got := sizeOf(plain.NativeRep().Expr()).nodes
		if got < nodes || got > nodes+nodes/8+3 {
			t.Errorf("%s: has %d nodes, estimated %d", text, nodes, got)
		}
		if !copies && got > len(text) {
			t.Errorf("%s: has %d bytes, and %d nodes are estimated", text, len(text), got)
		}
	}
}

func TestLargeExpressionsCompile(t *testing.T) {
	t.Parallel()
	for _, expression := range []string{
		"'Deployment ' + object.metadata.name + ' has ' + string(size(object.spec.containers)) + ' containers: ' + object.spec.containers.map(c, c.name).join(', ') == ''",
		"'%s has %d of %.2f'.format([object.metadata.name, size(object.a), 1.5]) == ''",
		"object.metadata.name.replace('-', '_').replace('.', '').lowerAscii().split('_').join('-').startsWith('a')",
		"lists.range(10).exists(i, i > size(object.a)) || lists.range(size(object.a)).all(i, object.a[i] != '')",
		"object.spec.containers.map(c, c.?env.orValue([]).map(e, e.name)).flatten().exists(n, n in ['A', 'B']) && object.a.all(a, a.b.all(b, b.c.all(c, c.d == '')))",
		"{object.a: 1, object.b: 2, object.c: 3, object.d: 4, object.e: 5, object.f: 6, object.g: 7, object.h: 8, object.i: 9}.size() == 9",
		strings.Repeat("object.a == 1 && ", 100) + "true",
		"[" + strings.Repeat("1,", 4000) + "1].size() > 1",
		"object.?a" + strings.Repeat(".optMap(x, x.?b).orValue(optional.none())", 5) + ".hasValue()",
		"object.spec.containers.map(c, c.?ports.orValue([]).map(p, string(p.containerPort))).flatten().join(', ') == ''",
		"object.spec.rules.map(r, r.host + ': ' + r.http.paths.map(p, p.path).join(', ')).join('; ') == ''",
		"object.spec.rules.map(r, r.http.paths.map(p, r.host + '/' + p.path)).flatten().join('; ') == ''",
		"'init: ' + object.spec.initContainers.map(c, c.name + '=' + c.image).join(', ') + ', containers: ' + object.spec.containers.map(c, c.name + '=' + c.image).join(', ') == ''",
		"object.spec.containers.map(c, object.metadata.namespace + '/' + object.metadata.name + '/' + c.name).join(', ') == ''",
		"object.spec.containers.filter(c, !has(c.resources) || !has(c.resources.limits)).map(c, 'container ' + c.name + ' has no limits').join('; ') == ''",
		"object.spec.ports.map(p, object.spec.replicas).size() == 0",
		"object.spec.ports.map(p, {'name': p.name, 'of': object.spec.serviceName}).exists(p, p.name == 'web')",
		"'%s/%s of %s is %s, %s, %s and %s'.format([object.metadata.namespace, object.metadata.name, object.kind, object.spec.a, object.spec.b, object.spec.c, object.spec.d]) == ''",
		"(size(object.spec.containers) == 1 ? '%d container' : '%d containers').format([size(object.spec.containers)]) == ''",
		"('Deployment %s ' + 'has %d replicas').format([object.metadata.name, 1]) == ''",
		"object.spec.host.matches('^' + namespaceObject.metadata.annotations['shop/hosts'].replace('.', '\\\\.').replace('*', '.*') + '$')",
		`object.metadata.annotations['a'].matches('^\\pL{1,100}$')`,
		"object.spec.path.replace('<name>', object.metadata.name).startsWith('/srv/')",
		"lists.range(size(object.spec.ports) - 1).all(i, object.spec.ports[i].port < object.spec.ports[i+1].port)",
		"object.spec.replicas + object.status.replicas > 3 && object.a.map(a, a.x + a.y).sum() > 3",
		"object.metadata.labels.map(k, k + '=' + object.metadata.labels[k]).join(',').size() < 100",
		"object.spec.template.spec.containers.all(c, c.image.split('/')[0] in ['a', 'b'] && c.image.split(':').size() == 2)",
		"object.a.map(x, {x.k: x.v}).size() > 0 && object.a.transformMapEntry(k, v, {k: v}).size() > 0",
	} {
		if _, errs := newCompiler(t).Compile(source(expression)); len(errs) > 0 {
			t.Errorf("%.60s…: %.300s", expression, errs.Error())
		}
	}
}

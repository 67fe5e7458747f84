package expr

import (
	"fmt"
	"strings"
	"testing"
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
		s := source("variables.v20 != null").with("v0", first)
		for i := range 20 {
			s.with(fmt.Sprintf("v%d", i+1), strings.ReplaceAll(step, "v", fmt.Sprintf("variables.v%d", i)))
		}
		return s
	}
	nested := source("variables.v10 != null").with("v0", "[1]")
	for i := range 10 {
		nested.with(fmt.Sprintf("v%d", i+1), strings.Repeat("[", 20)+fmt.Sprintf("variables.v%d", i)+strings.Repeat("]", 20))
	}
	const grows = "the value may become too large"
	tests := map[string]struct {
		source *Source
		want   string
	}{
		"a text and itself":           {doubled("object.metadata.name", "v + v"), grows},
		"a text that stands there":    {doubled("'x'", "v + v"), grows},
		"a list and itself":           {doubled("[1]", "v + v"), grows},
		"a list of itself, flat":      {doubled("[object]", "[v, v].flatten()"), grows},
		"in comprehensions":           {source("[object.a]" + strings.Repeat(".map(a, a + a)", 10) + ".size() == 1"), grows},
		"by format":                   {doubled("object.a", "'%s%s'.format([v, v])"), grows},
		"by join":                     {doubled("object.a", "[v, v].join('')"), grows},
		"by replace":                  {doubled("string(object.a)", "v.replace('a', v)"), grows},
		"by replace with more":        {doubled("string(object.a)", "v.replace('a', 'aaa')"), grows},
		"by quote":                    {doubled("string(object.a)", "strings.quote(v)"), grows},
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
		"object.a.map(x, {x.k: x.v}).size() > 0 && object.a.transformMapEntry(k, v, {k: v}).size() > 0",
	} {
		if _, errs := newCompiler(t).Compile(source(expression)); len(errs) > 0 {
			t.Errorf("%.60s…: %.300s", expression, errs.Error())
		}
	}
}

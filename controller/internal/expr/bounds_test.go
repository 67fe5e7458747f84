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
	tests := map[string]struct {
		source *Source
		want   string
	}{
		"optMap of optMap":            {source("optional.of(1)" + strings.Repeat(".optMap(x,x)", 40) + ".hasValue()"), "is too large"},
		"optFlatMap of optFlatMap":    {source("optional.of(1)" + strings.Repeat(".optFlatMap(x,optional.of(x))", 40) + ".hasValue()"), "is too large"},
		"optMap, and a syntax error":  {source("optional.of(1)" + strings.Repeat(".optMap(x,x)", 40) + ".hasValue() =="), "Syntax error"},
		"types by keys":               {source("[1]" + keys.String() + ".size() == 1"), "with keys that are computed"},
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
		strings.Repeat("object.a+", 100) + "1 == 1",
		"[" + strings.Repeat("1,", 4000) + "1].size() > 1",
		"object.?a" + strings.Repeat(".optMap(x, x.?b).orValue(optional.none())", 5) + ".hasValue()",
		"object.a.map(x, {x.k: x.v}).size() > 0 && object.a.transformMapEntry(k, v, {k: v}).size() > 0",
	} {
		if _, errs := newCompiler(t).Compile(source(expression)); len(errs) > 0 {
			t.Errorf("%.60s…: %.300s", expression, errs.Error())
		}
	}
}

package expr

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReads(t *testing.T) {
	t.Parallel()
	chain := source("variables.v39.x == 1").with("v0", "object")
	for i := range 39 {
		chain.with(fmt.Sprintf("v%d", i+1), fmt.Sprintf("object.c ? variables.v%d.a : variables.v%d.b", i, i))
	}
	tests := map[string]struct {
		source   *Source
		want     []string
		wantRefs []string
	}{
		"selection":              {source: source("object.spec.replicas > 1"), want: []string{".spec.replicas"}},
		"presence":               {source: source("has(object.spec.template)"), want: []string{".spec.template?"}},
		"null":                   {source: source("object.spec != null"), want: []string{".spec?"}},
		"whole":                  {source: source("object.spec == object.status"), want: []string{".spec", ".status"}},
		"the object itself":      {source: source("object == oldObject"), want: []string{""}},
		"null in a list":         {source: source("!(null in object.spec.values)"), want: []string{".spec.values"}},
		"constant keys":          {source: source("object['spec']['a.b'] == 1"), want: []string{".spec.a.b"}},
		"list index":             {source: source("object.spec.list[0].name == 'x'"), want: []string{".spec.list[*].name"}},
		"computed key":           {source: source("object.spec.map[object.spec.key].name == 'x'"), want: []string{".spec.key", ".spec.map[*].name"}},
		"all":                    {source: source("object.spec.list.all(e, e.name != '' && has(e.image))"), want: []string{".spec.list[*].image?", ".spec.list[*].name"}},
		"filter and size":        {source: source("object.spec.list.filter(e, e.a == 1).size() == 2"), want: []string{".spec.list[*].a"}},
		"filter and select":      {source: source("object.spec.list.filter(e, e.a == 1)[0].b == 2"), want: []string{".spec.list[*].a", ".spec.list[*].b"}},
		"map":                    {source: source("object.spec.list.map(e, e.a).exists(x, x.b == 2)"), want: []string{".spec.list[*].a.b"}},
		"map, compared":          {source: source("object.spec.list.map(e, e.a) == [1]"), want: []string{".spec.list[*].a"}},
		"nested":                 {source: source("object.a.all(x, x.b.all(y, y.c == x.d))"), want: []string{".a[*].b[*].c", ".a[*].d"}},
		"two variables":          {source: source("object.a.all(i, x, i == x.b)"), want: []string{".a[*].b"}},
		"size":                   {source: source("size(object.a) == object.b.size()"), want: []string{".a[*]?", ".b[*]?"}},
		"optional":               {source: source("object.?spec.?a.orValue(1) == 1"), want: []string{".spec.a"}},
		"optional map":           {source: source("object.?spec.optMap(s, s.a == 1).orValue(true)"), want: []string{".spec.a"}},
		"optional presence":      {source: source("object.?spec.?a.hasValue()"), want: []string{".spec.a?"}},
		"conditional":            {source: source("(object.c ? object.a : object.b).d == 1"), want: []string{".a.d", ".b.d", ".c"}},
		"literal":                {source: source("[object.a, object.b].all(x, x.c == 1)"), want: []string{".a.c", ".b.c"}},
		"map literal":            {source: source("{'k': object.a}.k.b == 1"), want: []string{".a.b"}},
		"sum of lists":           {source: source("(object.a + [object.b]).all(x, x.c == 1)"), want: []string{".a", ".b.c"}},
		"dyn":                    {source: source("dyn(object.a).b == 1"), want: []string{".a.b"}},
		"shadowed":               {source: source("[1].all(object, object == 1)"), want: nil},
		"rooted":                 {source: source("[1].all(x, .object.a == x)"), want: []string{".a"}},
		"alias variable":         {source: source("variables.s.a == 1").with("s", "object.spec"), want: []string{".spec.a"}},
		"alias of an alias":      {source: source("variables.t.b == 1").with("s", "object.spec").with("t", "variables.s.a"), want: []string{".spec.a.b"}},
		"alias used whole":       {source: source("variables.s == 1").with("s", "object.spec"), want: []string{".spec"}},
		"computed variable":      {source: source("variables.n > 1").with("n", "object.spec.a + object.spec.b"), want: []string{".spec.a", ".spec.b"}},
		"message":                {source: source("true").saying("'x' + object.metadata.annotations.note"), want: []string{".metadata.annotations.note"}},
		"condition":              {source: source("true").when("a", "object.a == 1"), want: []string{".a"}},
		"nothing":                {source: source("request.name == 'x'"), want: nil},
		"reference":              {source: source("refs.r.all(p, p.a == object.b)").referring("r"), want: []string{".b"}, wantRefs: []string{".a"}},
		"reference, counted":     {source: source("refs.r.size() > 0").referring("r")},
		"reference, indexed":     {source: source("refs.r[0].a.b == 1").referring("r"), wantRefs: []string{".a.b"}},
		"reference, in a filter": {source: source("refs.r.filter(p, p.a == 1).all(p, p.b == 1)").referring("r"), wantRefs: []string{".a", ".b"}},
		"reference, whole":       {source: source("refs.r == []").referring("r"), wantRefs: []string{""}},
		"references as a whole":  {source: source("dyn(refs) == 1").referring("r"), wantRefs: []string{""}},
		"selector":               {source: source("refs.r.exists(p, selectorMatches(p.spec.selector, object.metadata.labels))").referring("r"), want: []string{".metadata.labels"}, wantRefs: []string{".spec.selector"}},
		"chain that doubles":     {source: chain, want: []string{""}},
	}
	c := newCompiler(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program := mustCompile(t, c, tc.source)
			got := program.Reads().Paths()
			if name == "chain that doubles" {
				// What is kept is a superset; that it ends is the point.
				if len(got) == 0 {
					t.Error("nothing is kept")
				}
				return
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Reads: -want +got\n%s", diff)
			}
			if diff := cmp.Diff(tc.wantRefs, program.ReadsOf("r").Paths()); diff != "" {
				t.Errorf("ReadsOf: -want +got\n%s", diff)
			}
		})
	}
}

// generator makes random objects, and random expressions about them, from few
// names, so that the two meet.
type generator struct{ *rand.Rand }

func (g generator) name() string {
	return []string{"a", "b", "c", "spec", "labels"}[g.IntN(5)]
}

func (g generator) value(depth int) any {
	switch n := g.IntN(9); {
	case depth > 0 && n < 4:
		content := map[string]any{}
		for range 1 + g.IntN(4) {
			content[g.name()] = g.value(depth - 1)
		}
		return content
	case depth > 0 && n < 6:
		list := make([]any, g.IntN(4))
		for i := range list {
			list[i] = g.value(depth - 1)
		}
		return list
	case n == 6:
		return int64(g.IntN(3))
	case n == 7:
		return nil
	case n == 8:
		return true
	}
	return g.name()
}

func (g generator) object() map[string]any {
	content := map[string]any{"metadata": map[string]any{"name": g.name(), "annotations": map[string]any{"a": "b", "c": "d"}}}
	for _, name := range []string{"a", "b", "c", "spec", "labels"} {
		inner := map[string]any{}
		for _, name := range []string{"a", "b", "c", "spec", "labels"} {
			inner[name] = g.value(2)
		}
		content[name] = inner
		if g.IntN(4) == 0 {
			content[name] = []any{inner, map[string]any{"a": int64(1)}}
		}
	}
	return content
}

// expression returns an expression of any type. vars are names in scope.
func (g generator) expression(depth int, vars []string) string {
	if depth == 0 {
		if g.IntN(4) == 0 {
			return []string{"dyn(1)", "dyn('a')", "dyn(null)", "dyn([])", "dyn(true)", "object.metadata"}[g.IntN(6)]
		}
		return vars[g.IntN(len(vars))]
	}
	sub := func() string { return g.expression(depth-1, vars) }
	inner := func(name string) string { return g.expression(depth-1, append(append([]string{}, vars...), name)) }
	v := fmt.Sprintf("v%d", depth)
	switch g.IntN(36) {
	case 0, 1, 2:
		return "dyn(" + sub() + ")." + g.name()
	case 32, 33, 34, 35:
		return "object." + g.name() + "." + g.name()
	case 3, 4, 24, 25, 26, 27, 28, 29, 30, 31:
		return "dyn(" + sub() + ").?" + g.name() + ".orValue(object." + g.name() + ")"
	case 5:
		return "dyn(" + sub() + ")['" + g.name() + "']"
	case 6:
		return "dyn(" + sub() + ")[0]"
	case 7:
		return "dyn(" + sub() + ")[" + sub() + "]"
	case 8:
		return "has(dyn(" + sub() + ")." + g.name() + ")"
	case 9:
		return "dyn(" + sub() + ") == dyn(" + sub() + ")"
	case 10:
		return "dyn(" + sub() + ").all(" + v + ", dyn(" + inner(v) + ") != 1)"
	case 11:
		return "dyn(" + sub() + ").exists(" + v + ", dyn(" + inner(v) + ") == 1)"
	case 12:
		return "dyn(" + sub() + ").filter(" + v + ", dyn(" + inner(v) + ") == dyn(" + inner(v) + "))"
	case 13:
		return "dyn(" + sub() + ").map(" + v + ", dyn(" + inner(v) + "))"
	case 14:
		return "dyn(" + sub() + ").?" + g.name() + ".orValue(dyn(" + sub() + "))"
	case 15:
		return "dyn(" + sub() + ").?" + g.name() + ".hasValue()"
	case 16:
		return "dyn(" + sub() + ").?" + g.name() + ".optMap(" + v + ", dyn(" + inner(v) + ")).orValue(dyn(1))"
	case 17:
		return "(dyn(" + sub() + ") == 1 ? dyn(" + sub() + ") : dyn(" + sub() + "))"
	case 18:
		return "[dyn(" + sub() + "), dyn(" + sub() + ")]"
	case 19:
		return "{'a': dyn(" + sub() + ")}"
	case 20:
		return "size(dyn(" + sub() + "))"
	case 21:
		return "dyn(dyn(" + sub() + ") == null)"
	case 22:
		return "(dyn(" + sub() + ") + dyn(" + sub() + "))"
	default:
		return "dyn(" + sub() + ").transformList(k" + v + ", " + v + ", dyn(" + inner(v) + "))"
	}
}

// TestPruneIsSafe evaluates random expressions on random objects, whole and
// cut to what the expressions read: the result is the same, errors included.
func TestPruneIsSafe(t *testing.T) {
	t.Parallel()
	c := newCompiler(t)
	g := generator{rand.New(rand.NewPCG(1, 2))}
	compiled, same := 0, map[string]int{}
	for range 1200 {
		s := source().referring("r").with("x", g.expression(1, []string{"object", "refs.r"}))
		vars := []string{"object", "object", "variables.x", "refs.r"}
		s.Validations = source("dyn(" + g.expression(1+g.IntN(3), vars) + ") != dyn(" + g.expression(1, vars) + ")").Validations
		program, errs := c.Compile(s)
		if len(errs) > 0 {
			continue
		}
		compiled++
		for range 12 {
			full, ref := g.object(), g.object()
			before := fmt.Sprint(full)
			whole := func() string {
				return program.Evaluate(t.Context(), Input{Object: full, Refs: refLists{"r": {ref, ref}}}).summary()
			}
			want := whole()
			prunedRef := program.ReadsOf("r").Apply(ref)
			pruned := program.Reads().Apply(full)
			got := program.Evaluate(t.Context(), Input{Object: pruned, Refs: refLists{"r": {prunedRef, prunedRef}}}).summary()
			// The entries of a map come in any order, so one expression can have
			// several results.
			for range 100 {
				if got == want {
					break
				}
				want = whole()
			}
			if got != want {
				t.Fatalf("%+v\non %v\n  and %v\nis %s, but on what it reads, %q of\n   %v\n  and %q of %v\nit is %s",
					s, full, ref, want, program.Reads().Paths(), pruned, program.ReadsOf("r").Paths(), prunedRef, got)
			}
			if fmt.Sprint(full) != before {
				t.Fatalf("Apply changed the object %s to %v", before, full)
			}
			outcome, _, _ := strings.Cut(want, ":")
			same[outcome]++
			if strings.Contains(want, "error") {
				same["error"]++
			}
		}
	}
	if compiled < 1000 || same["pass"] < 2000 || same["0"]-same["error"] < 100 {
		t.Errorf("the generator is too poor: %d expressions compile, outcomes %v", compiled, same)
	}
}

// TestPruneCases evaluates the cases of TestEvaluate on what they read.
func TestPruneCases(t *testing.T) {
	t.Parallel()
	c := newCompiler(t)
	for name, tc := range evaluationCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program := mustCompile(t, c, tc.source)
			in := Input{Object: program.Reads().Apply(object(t, deployment)), Resource: deployments(), Namespace: object(t, fluxNamespace), Refs: testRefs()}
			if diff := cmp.Diff(tc.want, program.Evaluate(t.Context(), in).summary()); diff != "" {
				t.Errorf("on %v: -want +got\n%s", in.Object, diff)
			}
		})
	}
}

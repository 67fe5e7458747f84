package expr

import (
	"math"
	"testing"

	"github.com/google/cel-go/cel"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/sets"
)

// costOf is what evaluating all of a program costs, each variable once.
func (p *Program) costOf(t *testing.T, in Input) int64 {
	t.Helper()
	e := p.evaluation(t.Context(), in)
	budget := int64(math.MaxInt64)
	for _, steps := range [][]step{p.conditions, p.validations, p.messages} {
		for i := range steps {
			if steps[i].program == nil {
				continue
			}
			if _, _, err := e.run(&steps[i], &budget); err != nil {
				return -1
			}
		}
	}
	return math.MaxInt64 - budget
}

// TestLeanEnvironment plans every case in the API server's whole environment, too: it
// says the same and costs the same.
func TestLeanEnvironment(t *testing.T) {
	t.Parallel()
	lean, full := newCompiler(t), newCompiler(t)
	full.matchEnvs.overloads = sets.New[string]()
	cases := evaluationCases()
	for name, s := range budgetSources() {
		cases["budget: "+name] = evaluationCase{source: s}
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := Input{Object: budgetObject(t), Resource: deployments(), Namespace: object(t, fluxNamespace)}
			got, want := mustCompile(t, lean, tc.source), mustCompile(t, full, tc.source)
			if diff := cmp.Diff(want.Evaluate(t.Context(), in).verdict(), got.Evaluate(t.Context(), in).verdict()); diff != "" {
				t.Errorf("verdict: -full +lean\n%s", diff)
			}
			if diff := cmp.Diff(want.costOf(t, in), got.costOf(t, in)); diff != "" {
				t.Errorf("cost: -full +lean\n%s", diff)
			}
		})
	}
}

// TestPlanner has what calls the lists library planned where that is, and nothing else.
func TestPlanner(t *testing.T) {
	t.Parallel()
	envs := newCompiler(t).matchEnvs
	for expression, want := range map[string]*cel.Env{
		"object.spec.replicas > 1":                            envs.lean,
		"object.spec.items.all(i, i in ['a', 'b'])":           envs.lean,
		"object.spec.items.map(i, size(i)).sum() == 3":        envs.lean,
		"object.metadata.labels.all(k, v, k != v)":            envs.lean,
		"sets.contains(object.spec.a, ['b'])":                 envs.lean,
		"semver('1.2.3').major() == 1":                        envs.lean,
		"selectorMatches(object.spec.selector, {'app': 'x'})": envs.lean,
		"object.spec.items.sort()[0] == 'a'":                  envs.full,
		"object.spec.items.distinct().size() == 1":            envs.full,
		"object.spec.items.sortBy(i, i.name).size() == 1":     envs.full,
		"object.spec.items.exists(i, i.reverse() == [1])":     envs.full,
		"lists.range(3).size() == 3":                          envs.full,
		"object.spec.items.slice(0, 1) == [1]":                envs.full,
	} {
		checked, issues := envs.full.Compile(expression)
		if issues.Err() != nil {
			t.Fatal(issues.Err())
		}
		if got := envs.planner(checked); got != want {
			t.Errorf("%s: planned in the lean environment: %t", expression, got == envs.lean)
		}
	}
}

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
	left := int64(math.MaxInt64)
	for _, steps := range [][]step{p.conditions, p.validations, p.messages} {
		for i := range steps {
			if steps[i].program == nil {
				continue
			}
			if _, _, err := e.run(&steps[i], &left); err != nil {
				t.Fatal(err)
			}
		}
	}
	return math.MaxInt64 - left
}

// TestLeanEnvironment plans every case in the full environment alone, too: it says the
// same, and costs the same.
func TestLeanEnvironment(t *testing.T) {
	t.Parallel()
	lean, full := newCompiler(t), newCompiler(t)
	full.matchEnvs.overloads = sets.Set[string]{}
	full.matchEnvs.lean = full.matchEnvs.full
	for name, tc := range allCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := Input{Object: budgetObject(t), Resource: deployments(), Namespace: object(t, fluxNamespace), Refs: testRefs()}
			got, want := mustCompile(t, lean, tc.source), mustCompile(t, full, tc.source)
			if diff := cmp.Diff(want.Evaluate(t.Context(), in).summary(), got.Evaluate(t.Context(), in).summary()); diff != "" {
				t.Errorf("result: -full +lean\n%s", diff)
			}
			if diff := cmp.Diff(want.costOf(t, in), got.costOf(t, in)); diff != "" {
				t.Errorf("cost: -full +lean\n%s", diff)
			}
		})
	}
}

// TestLeanLacksListsOnly notices when the two part in more than one library: what is
// planned in the lean one has to be what the API server would evaluate.
func TestLeanLacksListsOnly(t *testing.T) {
	t.Parallel()
	c := newCompiler(t)
	for name, envs := range map[string]environments{"objects": c.matchEnvs, "requests": c.requestEnvs} {
		missing := sets.New(envs.full.Libraries()...).Difference(sets.New(envs.lean.Libraries()...))
		more := sets.New(envs.lean.Libraries()...).Difference(sets.New(envs.full.Libraries()...))
		if diff := cmp.Diff([]string{"cel.lib.ext.lists"}, sets.List(missing)); diff != "" || len(more) > 0 {
			t.Errorf("%s: libraries that the lean environment lacks (-want +got):\n%s\nand has beyond the full one: %v", name, diff, sets.List(more))
		}
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

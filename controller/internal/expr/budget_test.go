package expr

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// spend is an expression about a budgetObject that is true and costs some
// 100,000 × n units: a comparison of strings costs a tenth of their length.
func spend(n int) string {
	return "[" + strings.Repeat("0, ", n*10-1) + "0].all(i, object.big != object.other)"
}

func budgetObject(t *testing.T) map[string]any {
	t.Helper()
	content := object(t, deployment)
	content["big"] = strings.Repeat("x", 100_000)
	content["other"] = strings.Repeat("x", 99_999) + "y"
	return content
}

// budgetSources are sources at and beyond the limits.
func budgetSources() map[string]*Source {
	heavy := spend(8)
	return map[string]*Source{
		"one expression within its limit": source(heavy),
		"one expression beyond its limit": source(spend(12)),
		"the rule within its budget":      source(repeat(heavy, 11)...),
		"the rule beyond its budget":      source(repeat(heavy, 13)...),
		"a variable beyond its limit":     source("variables.v").with("v", spend(12)),
		"a variable used by many is paid once": source(append(repeat(heavy, 10), "variables.v", "variables.v", "variables.v", "variables.v")...).
			with("v", heavy),
		"variables beyond the budget": source(append(repeat(heavy, 10), "variables.a && variables.b && variables.c")...).
			with("a", heavy).with("b", heavy).with("c", heavy),
		"a message beyond the budget":          source(append(repeat(heavy, 12), "false")...).saying(heavy + " ? 'a' : 'b'"),
		"messages of what holds are paid":      source(repeat(heavy, 7)...).sayingAll(heavy + " ? 'a' : 'b'"),
		"messages pay for variables again":     source(append(repeat(heavy, 11), "variables.b")...).with("a", heavy).with("b", "variables.a").saying("variables.b ? 'a' : 'b'").with("unused", heavy),
		"conditions within their budget":       source("false").when("a", heavy).when("b", heavy),
		"conditions beyond their budget":       source("false").when("a", heavy).when("b", heavy).when("c", heavy).when("d", "false").when("e", heavy),
		"conditions and rule pay each its own": source(repeat(heavy, 11)...).when("a", heavy).when("b", heavy),
	}
}

// allCases are the evaluation cases and, without what they come to, those of the budgets.
func allCases() map[string]evaluationCase {
	cases := evaluationCases()
	for name, s := range budgetSources() {
		cases["budget: "+name] = evaluationCase{source: s}
	}
	return cases
}

func repeat(expression string, n int) []string {
	expressions := make([]string, n)
	for i := range expressions {
		expressions[i] = expression
	}
	return expressions
}

func (s *Source) sayingAll(expression string) *Source {
	for i := range s.Validations {
		s.Validations[i].MessageExpression = expression
	}
	return s
}

func TestBudgets(t *testing.T) {
	t.Parallel()
	const limit = "out of cost budget: the limit of 1000000 for one expression was exceeded"
	want := map[string]string{
		"one expression within its limit":      "pass",
		"one expression beyond its limit":      "0: error: spec.validations[0].expression: " + limit,
		"the rule within its budget":           "pass",
		"the rule beyond its budget":           "error: spec.validations[12].expression: out of cost budget",
		"a variable beyond its limit":          `0: error: spec.validations[0].expression: composited variable "v" fails to evaluate: ` + limit,
		"a variable used by many is paid once": "pass",
		"variables beyond the budget":          "error: spec.validations[10].expression: out of cost budget",
		"a message beyond the budget":          "error: spec.validations[12].messageExpression: out of cost budget",
		"messages of what holds are paid":      "error: spec.validations[5].messageExpression: out of cost budget",
		"messages pay for variables again":     "error: spec.validations[11].messageExpression: out of cost budget",
		"conditions within their budget":       "0",
		"conditions beyond their budget":       `error: spec.matchConditions[4] "e": out of cost budget`,
		"conditions and rule pay each its own": "pass",
	}
	c := newCompiler(t)
	for name, s := range budgetSources() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result := mustCompile(t, c, s).Evaluate(t.Context(), Input{Object: budgetObject(t)})
			if diff := cmp.Diff(want[name], result.summary()); diff != "" {
				t.Errorf("result: -want +got\n%s", diff)
			}
			err := result.Err
			if err == nil && len(result.Problems) > 0 {
				err = result.Problems[0].Err
			}
			if strings.Contains(want[name], "error") != errors.Is(err, ErrOutOfBudget) {
				t.Errorf("errors.Is(%v, ErrOutOfBudget) = %v", err, errors.Is(err, ErrOutOfBudget))
			}
		})
	}
}

func TestSelectorMatchesCost(t *testing.T) {
	t.Parallel()
	expression := "refs.all.all(r, refs.all.all(s, selectorMatches(r.selector, s.labels)))"
	program := mustCompile(t, newCompiler(t), source(expression).referring("all"))
	objects := make([]map[string]any, 300)
	for i := range objects {
		objects[i] = map[string]any{"selector": map[string]any{"matchLabels": map[string]any{
			"a": "x", "b": "x", "c": "x", "d": "x", "e": "x",
		}}, "labels": map[string]any{"a": "x", "b": "x", "c": "x", "d": "x", "e": "x"}}
	}
	small := refLists{"all": objects[:10]}
	if got := program.Evaluate(t.Context(), Input{Refs: small}).summary(); got != "pass" {
		t.Fatalf("ten objects: %s", got)
	}
	// 300 × 300 calls cost at least 11 each (an entry and two texts for every
	// label), the loop around them alone does not reach the limit.
	result := program.Evaluate(t.Context(), Input{Refs: refLists{"all": objects}})
	if len(result.Problems) != 1 || !errors.Is(result.Problems[0].Err, ErrOutOfBudget) {
		t.Errorf("with %d objects the limit of %d is not reached: %s", len(objects), celconfig.PerCallLimit, result.summary())
	}
	plain := mustCompile(t, newCompiler(t), source("refs.all.all(r, refs.all.all(s, r != null))").referring("all"))
	if got := plain.Evaluate(t.Context(), Input{Refs: refLists{"all": objects}}).summary(); got != "pass" {
		t.Errorf("the loop alone: %s", got)
	}
}

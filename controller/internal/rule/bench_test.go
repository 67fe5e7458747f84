package rule_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/bench"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// benchRefs gives every object the same list.
type benchRefs struct{ list expr.List }

func (r benchRefs) List(rule.Reference, string) (expr.List, error) { return r.list, nil }

// compileRules makes n different rules: each compares a field, and with
// references looks for the one budget among ten that selects the pods, too.
func compileRules(b *testing.B, n int, refs bool) []*rule.Rule {
	b.Helper()
	compiler, err := expr.NewCompiler(n)
	if err != nil {
		b.Fatal(err)
	}
	rules := make([]*rule.Rule, 0, n)
	for i := range n {
		builder := builders.MakeClusterRule(fmt.Sprintf("rule-%d", i)).Match("apps", "v1", "deployments")
		if refs {
			builder.Refer("pdbs", "policy/v1", "PodDisruptionBudget").
				Validate(fmt.Sprintf("object.spec.replicas < %d || refs.pdbs.exists(p, selectorMatches(p.spec.selector, object.spec.template.metadata.labels))", -i), "no budget")
		} else {
			builder.Validate(fmt.Sprintf("object.spec.replicas > %d", -i), "too few")
		}
		obj := builder.Obj()
		compiled, errs := rule.Compile(compiler, rule.Key{Kind: rule.KindClusterRule, Name: obj.Name}, 1, &obj.Spec)
		if len(errs) > 0 {
			b.Fatal(errs.ToAggregate())
		}
		rules = append(rules, compiled)
	}
	return rules
}

// BenchmarkRule evaluates 1, 10 and 100 rules on a Deployment, without and with
// references, on one core. With BENCH_DIR set it writes rule.json there.
func BenchmarkRule(b *testing.B) {
	budgets := make([]map[string]any, 10)
	for i := range budgets {
		budgets[i] = map[string]any{"spec": map[string]any{"selector": map[string]any{
			"matchLabels": map[string]any{"app": fmt.Sprintf("app-%d", i)},
		}}}
	}
	refs := benchRefs{expr.NewList(budgets)}
	content := builders.Unstructured(b, builders.MakeDeployment("flux-system", "app-9").Replicas(2).Obj())
	resource := schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	metrics := map[string]bench.Metric{}
	for _, withRefs := range []bool{false, true} {
		for _, n := range []int{1, 10, 100} {
			name := fmt.Sprintf("rules-%d", n)
			if withRefs {
				name += "-refs"
			}
			rules := compileRules(b, n, withRefs)
			b.Run(name, func(b *testing.B) {
				evaluateRules(b, rules, rule.Input{Object: content, Resource: resource, Refs: refs}, name, metrics)
			})
		}
	}
	dir := os.Getenv("BENCH_DIR")
	if dir == "" {
		return
	}
	if err := bench.Write(filepath.Clean(dir), bench.Result{Name: "rule", Metrics: metrics}); err != nil {
		b.Fatal(err)
	}
}

func evaluateRules(b *testing.B, rules []*rule.Rule, in rule.Input, name string, metrics map[string]bench.Metric) {
	b.Helper()
	allocs := testing.AllocsPerRun(20, func() { evaluateAll(b, rules, in) })
	start := time.Now()
	objects := 0
	for b.Loop() {
		evaluateAll(b, rules, in)
		objects++
	}
	seconds := time.Since(start).Seconds()
	evaluations := float64(objects * len(rules))
	metrics[name+".objects"] = bench.Metric{Value: float64(objects) / seconds, Unit: "objects/s"}
	metrics[name+".evaluation"] = bench.Metric{Value: seconds * 1e9 / evaluations, Unit: "ns/evaluation"}
	metrics[name+".allocations"] = bench.Metric{Value: allocs / float64(len(rules)), Unit: "allocs/evaluation"}
	b.ReportMetric(float64(objects)/seconds, "objects/s")
	b.ReportMetric(allocs/float64(len(rules)), "allocs/evaluation")
}

func evaluateAll(b *testing.B, rules []*rule.Rule, in rule.Input) {
	b.Helper()
	for _, r := range rules {
		if finding := r.Evaluate(b.Context(), in); finding.Outcome != "pass" {
			b.Fatalf("%s: %+v", r.Key(), finding)
		}
	}
}

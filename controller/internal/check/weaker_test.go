package check_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
)

// strict is a rule that has a value in every field that can be weakened.
const strict = `
apiVersion: mainstay.dev/v1alpha1
kind: ClusterRule
metadata: {name: r}
spec:
  severity: high
  matchConstraints:
    namespaceSelector: {matchLabels: {guarded: "yes"}}
    objectSelector: {matchExpressions: [{key: tier, operator: In, values: [a, b]}]}
    resourceRules:
    - {apiGroups: [apps], apiVersions: [v1], resources: [deployments, statefulsets], operations: [CREATE, UPDATE]}
    excludeResourceRules:
    - {apiGroups: [apps], apiVersions: ["*"], resources: [statefulsets], operations: ["*"], resourceNames: [old]}
  matchConditions:
  - {name: big, expression: object.spec.replicas > 1}
  references:
  - {name: pdbs, apiVersion: policy/v1, kind: PodDisruptionBudget}
  variables:
  - {name: least, expression: "3"}
  validations:
  - {expression: object.spec.replicas >= variables.least, message: too few}
  - {expression: refs.pdbs.size() > 0, message: no budget}
  exceptions:
  - {name: known, namespace: web, reason: known, expires: "2026-06-01T00:00:00Z"}
`

func TestRuleThatAsksForLess(t *testing.T) {
	t.Parallel()
	const unknown = " (whether that asks for less cannot be computed)"
	for name, tc := range map[string]struct {
		// from and to are what differs in the text.
		from, to string
		want     []string
	}{
		"the same":                          {},
		"suspended":                         {"  severity: high", "  severity: high\n  suspend: true", []string{"spec.suspend false → true"}},
		"less severe":                       {"high", "low", []string{"spec.severity high → low"}},
		"the severity is left out":          {"  severity: high\n", "", []string{"spec.severity high → medium"}},
		"more severe":                       {"high", "critical", nil},
		"another namespace":                 {`guarded: "yes"`, `guarded: "no"`, []string{"spec.matchConstraints.namespaceSelector guarded=yes → guarded=no"}},
		"one more label of the namespace":   {`guarded: "yes"`, `guarded: "yes", x: z`, []string{"spec.matchConstraints.namespaceSelector guarded=yes → guarded=yes,x=z"}},
		"all namespaces":                    {`    namespaceSelector: {matchLabels: {guarded: "yes"}}` + "\n", "", nil},
		"fewer values of a label":           {"values: [a, b]", "values: [a]", []string{"spec.matchConstraints.objectSelector tier in (a,b) → tier in (a)"}},
		"more values of a label":            {"values: [a, b]", "values: [a, b, c]", nil},
		"any value of a label":              {"operator: In, values: [a, b]", "operator: Exists", nil},
		"fewer kinds":                       {"[deployments, statefulsets]", "[deployments]", []string{"spec.matchConstraints.resourceRules CREATE apps/v1 statefulsets, UPDATE apps/v1 statefulsets → nothing"}},
		"all kinds":                         {"[deployments, statefulsets]", `["*"]`, nil},
		"fewer operations":                  {"[CREATE, UPDATE]", "[UPDATE]", []string{"spec.matchConstraints.resourceRules CREATE apps/v1 deployments, CREATE apps/v1 statefulsets → nothing"}},
		"some names only":                   {"[CREATE, UPDATE]", "[CREATE, UPDATE], resourceNames: [web]", []string{"spec.matchConstraints.resourceRules CREATE apps/v1 deployments, UPDATE apps/v1 deployments, CREATE apps/v1 statefulsets, UPDATE apps/v1 statefulsets → nothing"}},
		"one more name excluded":            {"[old]", "[old, web]", []string{"spec.matchConstraints.excludeResourceRules nothing → * apps/* statefulsets old, web"}},
		"another name excluded":             {"[old]}", "[older]}", []string{"spec.matchConstraints.excludeResourceRules nothing → * apps/* statefulsets older"}},
		"one more condition":                {"  references:", "  - {name: not-web, expression: object.metadata.name != 'web'}\n  references:", []string{`spec.matchConditions nothing → "object.metadata.name != 'web'"`}},
		"another condition":                 {"replicas > 1", "replicas > 9", []string{`spec.matchConditions "object.spec.replicas > 1" → "object.spec.replicas > 9"` + unknown}},
		"no condition":                      {"  - {name: big, expression: object.spec.replicas > 1}\n", "", nil},
		"a validation that is gone":         {"  - {expression: refs.pdbs.size() > 0, message: no budget}\n", "", []string{`spec.validations "refs.pdbs.size() > 0" → nothing`}},
		"a validation that reads otherwise": {"refs.pdbs.size() > 0", "refs.pdbs.size() >= 0", []string{`spec.validations "refs.pdbs.size() > 0" → "refs.pdbs.size() >= 0"` + unknown}},
		"one more validation":               {"  exceptions:", "  - {expression: 'true'}\n  exceptions:", nil},
		"another message":                   {"too few", "not enough", nil},
		"another variable":                  {`expression: "3"`, `expression: "1"`, []string{`spec.variables least: "3" → least: "1"` + unknown}},
		"another list":                      {"kind: PodDisruptionBudget}", "kind: PodDisruptionBudget, namespaces: [All]}", []string{`spec.references "pdbs: PodDisruptionBudget of " → "pdbs: PodDisruptionBudget of All"` + unknown}},
		"other white space":                 {"object.spec.replicas >= variables.least", `"object.spec.replicas\n\n      >=  variables.least"`, nil},
		"a long text that parts late":       {"object.spec.replicas >= variables.least", "object.spec.replicas >= variables.least || true", []string{`spec.validations "… variables.least" → "… variables.least || true"` + unknown}},
		"one more exception":                {"  exceptions:", "  exceptions:\n  - {name: web, namespace: web, reason: ours}", []string{"spec.exceptions nothing → web/web for good"}},
		"an exception that lasts longer":    {"2026-06-01", "2027-06-01", []string{"spec.exceptions web/known until 2026-06-01T00:00:00Z → web/known until 2027-06-01T00:00:00Z"}},
		"an exception that ends earlier":    {"2026-06-01", "2026-05-01", nil},
		"an exception that has lapsed":      {"  exceptions:", "  exceptions:\n  - {name: web, namespace: web, reason: ours, expires: '2025-06-01T00:00:00Z'}", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(strict, tc.from) {
				t.Fatalf("the rule does not say %q", tc.from)
			}
			before := checked(t, check.Options{}, rendered(t, strict))
			after := checked(t, check.Options{}, rendered(t, strings.Replace(strict, tc.from, tc.to, 1)))
			report, err := check.Compare(t.Context(), before, after, "main")
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, w := range tc.want {
				want = append(want, "high rule-weakened all.yaml:1 ClusterRule r asks for less than in main: "+w)
			}
			if diff := cmp.Diff(want, findings(report)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// given are the rules of a text, as from beside a tree.
func given(t *testing.T, text string) check.Options {
	t.Helper()
	set, err := check.FromDir(file(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return check.Options{Rules: set}
}

func TestRuleBesideTheTreeThatAsksForMore(t *testing.T) {
	t.Parallel()
	const is = "object.spec.replicas == 3"
	beside := given(t, ruleText("r", "", is))
	weak := rendered(t, ruleText("r", "", "true")+web)

	t.Run("a tree has it as it likes", func(t *testing.T) {
		t.Parallel()
		report := checked(t, beside, weak)
		if len(report.Findings) > 0 || len(report.Notes) != 1 || !strings.Contains(report.Notes[0].Message, "ClusterRule r asks for less than that of ") ||
			!strings.HasSuffix(report.Notes[0].Message, `spec.validations "object.spec.replicas == 3" → "true" (whether that asks for less cannot be computed)`) {
			t.Errorf("findings %v, notes %v, want a note", findings(report), notes(report))
		}
	})
	for name, before := range map[string]*check.Report{
		"a change may not put a weaker one in its place":      checked(t, beside, rendered(t, web)),
		"what there is nothing to compare with is held to it": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, err := check.Compare(t.Context(), before, checked(t, beside, weak), "main")
			if err != nil {
				t.Fatal(err)
			}
			var states []string
			for _, f := range report.Findings {
				states = append(states, string(f.State)+" "+f.Check)
			}
			if diff := cmp.Diff([]string{"new rule-weakened", "unjudged r"}, states); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("a copy that is brought up to date is not weaker", func(t *testing.T) {
		t.Parallel()
		before := checked(t, beside, rendered(t, ruleText("r", "", "object.spec.replicas == 3 || false")+web))
		report, err := check.Compare(t.Context(), before, checked(t, beside, rendered(t, ruleText("r", "", is)+web)), "main")
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Findings) > 0 || report.Unchanged != 1 {
			t.Errorf("findings %v, %d unchanged, want 1 unchanged", findings(report), report.Unchanged)
		}
	})
}

// What a weaker rule does not find is fixed where the stricter one does not find it
// any more.
func TestFixedIsWhatTheStricterRuleDoesNotFind(t *testing.T) {
	t.Parallel()
	before := checked(t, check.Options{}, rendered(t, ruleText("r", "", "object.spec.replicas == 3")+web+strings.Replace(web, "name: web,", "name: other,", 1)))
	mended := strings.Replace(web, "replicas: 2", "replicas: 3", 1)
	after := checked(t, check.Options{Now: time.Now()}, rendered(t, ruleText("r", "  suspend: true", "object.spec.replicas == 3")+mended+strings.Replace(web, "name: web,", "name: other,", 1)))
	report, err := check.Compare(t.Context(), before, after, "main")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range report.Findings {
		got = append(got, string(f.State)+" "+f.Object)
	}
	want := []string{"new mainstay.dev/v1alpha1/ClusterRule r", "fixed apps/v1/Deployment default/web", "unjudged apps/v1/Deployment default/other"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if got := report.Worst(); got != "high" {
		t.Errorf("the worst is %q, want high", got)
	}
}

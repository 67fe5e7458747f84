package check_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
	"github.com/mainstay-dev/mainstay/controller/internal/render"
)

// ruleText is a ClusterRule about Deployments with one validation.
func ruleText(name, extra, expression string) string {
	return `
apiVersion: mainstay.dev/v1alpha1
kind: ClusterRule
metadata: {name: ` + name + `}
spec:
  severity: high
  matchConstraints:
    resourceRules:
    - {apiGroups: [apps], apiVersions: [v1], resources: [deployments], operations: [CREATE, UPDATE]}
` + extra + `
  validations:
  - expression: "` + expression + `"
    message: it does not hold
`
}

const web = `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web}]}
`

func TestRulesOfTheTree(t *testing.T) {
	t.Parallel()
	const leases = "  references:\n  - {name: leases, apiVersion: coordination.k8s.io/v1, kind: Lease}\n"
	for name, tc := range map[string]struct {
		text      string
		want      []string
		wantNotes []string
	}{
		"it holds":         {text: ruleText("r", "", "object.spec.replicas == 2") + web},
		"it does not hold": {text: ruleText("r", "", "object.spec.replicas == 3") + web, want: []string{"high r all.yaml:2 it does not hold"}},
		"it fails":         {text: ruleText("r", "", "object.spec.no == 3") + web, want: []string{"high rule-failed all.yaml:2 ClusterRule/r could not be evaluated: spec.validations[0].expression: no such key: no"}},
		"it is suspended":  {text: ruleText("r", "  suspend: true", "false") + web, wantNotes: []string{"ClusterRule/r is suspended, so it is not evaluated"}},
		"it cannot be enforced": {
			text: ruleText("r", "  modes: [Admission]", "selectorMatches({}, object.metadata.labels) && authorizer.requestResource.check('x').allowed()") + web,
			want: []string{"high rule-invalid all.yaml:1 it cannot be enforced: spec: the expressions use selectorMatches, which takes the webhook, " +
				"and authorizer, which only the API server has: leave out one of them, or make two rules of this one"},
		},
		"the webhook enforces it": {
			text: ruleText("r", "  modes: [Admission, Audit]", "!selectorMatches({}, object.metadata.labels)") + web,
			want: []string{"high r all.yaml:2 it does not hold"},
		},
		"it is about requests": {
			text:      ruleText("r", "  modes: [Admission]", "request.userInfo.username != 'jane'") + web,
			wantNotes: []string{"ClusterRule/r is not evaluated: it asks for request.userInfo, which only a request has"},
		},
		"an unknown field": {text: ruleText("r", "  sevrity: low", "true"), want: []string{`high rule-invalid all.yaml:1 the cluster would reject it: strict decoding error: unknown field "spec.sevrity"`}},
		"a severity that there is none of": {
			text: strings.Replace(ruleText("r", "", "false"), "severity: high", "severity: High", 1) + web,
			want: []string{`high rule-invalid all.yaml:1 the cluster would reject it: spec.severity: Unsupported value: "High": supported values: "info", "low", "medium", "high", "critical"`},
		},
		"other values that there are none of": {
			text: ruleText("r", "  modes: [admission]\n  validationActions: [deny]\n  failurePolicy: fail", "false") + web,
			want: []string{`high rule-invalid all.yaml:1 the cluster would reject it: [spec.modes[0]: Unsupported value: "admission": supported values: "Admission", "Audit", ` +
				`spec.validationActions[0]: Unsupported value: "deny": supported values: "Deny", "Warn", "Audit", ` +
				`spec.failurePolicy: Unsupported value: "fail": supported values: "Fail", "Ignore"]`},
		},
		"namespace default": {text: ruleText("r", "", "object.metadata.namespace == 'default' && namespaceObject.metadata.labels['kubernetes.io/metadata.name'] == 'default'") + web},
		"an exception":      {text: ruleText("r", "  exceptions:\n  - {namespace: default, name: web, reason: known}\n", "false") + web, wantNotes: []string{"ClusterRule/r has an exception for apps/v1/Deployment default/web (known)"}},
		"a lapsed exception": {
			text: ruleText("r", "  exceptions:\n  - {namespace: default, name: web, reason: known, expires: '2025-12-31T00:00:00Z'}\n", "false") + web,
			want: []string{"high r all.yaml:2 it does not hold"},
		},
		"references are what is rendered": {
			text: ruleText("r", "  references:\n  - {name: others, apiVersion: v1, kind: Service}\n", "refs.others.exists(s, s.metadata.name == 'web')") + web +
				"---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\n",
		},
		"what only a cluster has is not judged": {
			text:      ruleText("r", leases, "refs.leases.size() > 0") + web,
			wantNotes: []string{"ClusterRule/r is not judged of apps/v1/Deployment default/web: it asks for Lease, which only a running cluster has"},
		},
		"what does not need it is judged": {
			text: ruleText("r", leases, "object.spec.replicas < 2 && refs.leases.size() > 0") + web,
			want: []string{"high r all.yaml:2 it does not hold"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := checked(t, check.Options{}, rendered(t, tc.text))
			if diff := cmp.Diff(tc.want, findings(report)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.wantNotes, notes(report)); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPackIsWhatItsKustomizationLists(t *testing.T) {
	t.Parallel()
	pack, err := check.Pack()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile("../../../manifests/rules/kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	listed := strings.Count(string(content), ".yaml\n")
	if got := len(pack.Rules) + len(pack.Lifelines); got != listed || len(pack.Lifelines) < 2 {
		t.Errorf("%d rules and %d Lifelines, want %d objects", len(pack.Rules), len(pack.Lifelines), listed)
	}
	checked(t, check.Options{Rules: pack}, rendered(t, web))
}

func TestATreesRuleWinsOverThePacks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "r.yaml"), []byte(ruleText("r", "", "false")), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := check.FromDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := findings(checked(t, check.Options{Rules: set}, rendered(t, web))); len(got) != 1 {
		t.Errorf("the rule of the folder is not evaluated: %v", got)
	}
	if got := findings(checked(t, check.Options{Rules: set}, rendered(t, ruleText("r", "", "true")+web))); len(got) != 0 {
		t.Errorf("the rule of the folder is evaluated beside the tree's: %v", got)
	}
}

func TestRulesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ content, want string }{
		"no rule":           {content: web, want: "holds no ClusterRule, Rule or Lifeline"},
		"an unknown field":  {content: ruleText("r", "  sevrity: low", "true"), want: `r.yaml: ClusterRule r: strict decoding error: unknown field "spec.sevrity"`},
		"it does not parse": {content: "apiVersion: [", want: "r.yaml: does not parse: yaml: line 1: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "r.yaml"), []byte(tc.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := check.FromDir(dir); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want … %s …", err, tc.want)
			}
		})
	}
}

func TestCausesAreThePatchesOfWhatARuleReads(t *testing.T) {
	t.Parallel()
	const target = "apps/v1/Deployment web"
	patch := func(line int, field string, before, after any) render.Patch {
		return render.Patch{
			Origin: render.Origin{Path: "k.yaml", Line: line}, List: "patches", Kind: render.JSON6902, Index: line,
			Matched: []string{target}, Changes: []render.Change{{Target: target, Field: field, Before: before, After: after}},
		}
	}
	text := ruleText("r", "", "object.spec.replicas == 3 && has(object.spec.template.spec.priorityClassName)") + web
	report := checked(t, check.Options{}, rendered(t, text,
		patch(3, "/spec/replicas", 1, 2), patch(5, "/metadata/annotations/a", nil, "x"),
		patch(7, "/spec/template/spec/priorityClassName", "high", nil), patch(9, "/spec/paused", nil, true)))
	if len(report.Findings) != 1 {
		t.Fatalf("findings: %v", findings(report))
	}
	want := []check.Place{{Path: "k.yaml", Line: 7}, {Path: "k.yaml", Line: 3}}
	if diff := cmp.Diff(want, report.Findings[0].SetBy); diff != "" {
		t.Errorf("set by (-want +got):\n%s", diff)
	}
}

// A kustomization that sets a namespace gives it to a ClusterRule, too.
func TestClusterRuleWithANamespaceIsInThePlaceOfTheOneBesideTheTree(t *testing.T) {
	t.Parallel()
	opts := given(t, ruleText("r", "", "object.spec.replicas == 3"))
	own := strings.Replace(ruleText("r", "", "object.spec.replicas == 4"), "{name: r}", "{name: r, namespace: web}", 1)
	report := checked(t, opts, rendered(t, own+web))
	if diff := cmp.Diff([]string{"high r all.yaml:2 it does not hold"}, findings(report)); diff != "" || report.Summary.Rules != 1 {
		t.Errorf("%d rules, want 1; findings (-want +got):\n%s", report.Summary.Rules, diff)
	}
	after := checked(t, opts, rendered(t, strings.Replace(own, "== 4", "== 2", 1)+web))
	compared, err := check.Compare(t.Context(), checked(t, opts, rendered(t, web)), after, "main")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range compared.Findings {
		got = append(got, string(f.State)+" "+f.Check)
	}
	if diff := cmp.Diff([]string{"new rule-weakened", "unjudged r"}, got); diff != "" {
		t.Errorf("findings against the rule beside the tree (-want +got):\n%s", diff)
	}
}

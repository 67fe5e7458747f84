package check_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
)

// follows is a Kustomization of Flux in flux-system.
func follows(name, path, more string) string {
	return "\n---\napiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: " + name + ", namespace: flux-system}\nspec:\n  path: " + path +
		"\n  sourceRef: {kind: GitRepository, name: flux-system}\n" + more
}

func configMap(namespace string) string {
	return "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: " + namespace + "}\n"
}

// joined is the report on several paths, by a rule about Deployments.
func joined(t *testing.T, trees map[string]string, extra string) *check.Report {
	t.Helper()
	opts := given(t, ruleText("r", "  modes: [Admission, Audit]\n"+extra, "true"))
	checker, err := check.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for _, path := range append(slices.Collect(maps.Keys(trees)), "a", "b", "c0") {
		if err := os.MkdirAll(filepath.Join(root, path), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	var reports []*check.Report
	for _, path := range slices.Sorted(maps.Keys(trees)) {
		result := rendered(t, trees[path])
		result.Root = root
		for i := range result.Objects {
			result.Objects[i].Origin.Path = path + "/all.yaml"
		}
		report, err := checker.Check(t.Context(), path, result)
		if err != nil {
			t.Fatal(err)
		}
		reports = append(reports, report)
	}
	return check.Join(reports...)
}

func TestKustomizationThatMixes(t *testing.T) {
	t.Parallel()
	const (
		mix   = "high kustomization-mixes-recovery-path c/all.yaml:1 Kustomization flux-system/a applies what recovery takes (v1/ConfigMap kube-system/x) and what rules guard (apps/v1/Deployment default/web (ClusterRule r)): Flux applies nothing of it while one object is rejected; move one of the two to a Kustomization of its own"
		chain = "high kustomization-mixes-recovery-path c/all.yaml:1 Kustomization flux-system/a applies what recovery takes (v1/ConfigMap kube-system/x) and depends on one that applies what rules guard (apps/v1/Deployment default/web (ClusterRule r)): flux-system/a → flux-system/b → flux-system/c. Flux applies nothing of the first while an object of the last is rejected; let what mends the cluster depend on nothing guarded"
	)
	chained := follows("a", "./a", "  dependsOn: [{name: b}]\n") + follows("b", "./b", "  dependsOn: [{name: c, namespace: flux-system}, {name: a}]\n") + follows("c", "c0/", "")
	for name, tc := range map[string]struct {
		trees map[string]string
		extra string
		want  []string
	}{
		"both in one":                      {trees: map[string]string{"c": follows("a", "./a", ""), "a": configMap("kube-system") + web}, want: []string{mix}},
		"files below its path":             {trees: map[string]string{"c": follows("a", "./a", ""), "a/x": configMap("kube-system"), "a/y": web}, want: []string{mix}},
		"its path, and not what is below":  {trees: map[string]string{"c": follows("a", "./a", ""), "a": configMap("kube-system"), "a/y": web}},
		"each in its own":                  {trees: map[string]string{"c": follows("a", "./a", "") + follows("b", "./b", ""), "a": configMap("kube-system"), "b": web}},
		"nothing guarded":                  {trees: map[string]string{"c": follows("a", "./a", ""), "a": configMap("kube-system") + configMap("shop")}},
		"nothing for recovery":             {trees: map[string]string{"c": follows("a", "./a", ""), "a": configMap("shop") + web}},
		"a suspended rule guards nothing":  {trees: map[string]string{"c": follows("a", "./a", ""), "a": configMap("kube-system") + web}, extra: "  suspend: true\n"},
		"a rule that warns guards nothing": {trees: map[string]string{"c": follows("a", "./a", ""), "a": configMap("kube-system") + web}, extra: "  validationActions: [Warn]\n"},
		"moved to a namespace of recovery": {
			trees: map[string]string{"c": follows("a", "./a", "  targetNamespace: kube-system\n"), "a": configMap("shop") + web},
		},
		"of another repository": {
			trees: map[string]string{"c": strings.Replace(follows("a", "./a", ""), "name: flux-system}\n", "name: other}\n", 1), "a": configMap("kube-system") + web},
		},
		"a chain":           {trees: map[string]string{"c": chained, "a": configMap("kube-system"), "b": configMap("shop"), "c0": web}, want: []string{chain}},
		"a chain that ends": {trees: map[string]string{"c": chained, "a": configMap("shop"), "b": configMap("kube-system"), "c0": configMap("kube-system")}},
		"what is not rendered": {
			trees: map[string]string{"c": follows("a", "./a", "") + follows("b", "./b", ""), "a": configMap("kube-system")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := joined(t, tc.trees, tc.extra)
			if diff := cmp.Diff(tc.want, findings(report)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// Nothing is mended where a rule guards less than it did.
func TestMixIsNotFixedByAWeakerRule(t *testing.T) {
	t.Parallel()
	trees := map[string]string{"c": follows("a", "./a", ""), "a": configMap("kube-system") + web}
	report, err := check.Compare(t.Context(), joined(t, trees, ""), joined(t, trees, "  suspend: true\n"), "main")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range report.Findings {
		got = append(got, string(f.State)+" "+f.Check+" "+f.In)
	}
	want := []string{"new rule-weakened a", "new rule-weakened c", "unjudged kustomization-mixes-recovery-path c"}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

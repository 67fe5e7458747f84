package check_test

import (
	"strings"
	"testing"
)

// A kind that neither Kubernetes nor the render defines is what a rule calls it.
func TestRulesAboutKindsThatNobodyDefines(t *testing.T) {
	t.Parallel()
	const definition = "---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: gateways.example.com}\n" +
		"spec: {group: example.com, scope: Namespaced, names: {kind: Gateway, plural: gateways}}\n"
	for name, tc := range map[string]struct {
		kind, resources, exclude, more string
		want                           int
	}{
		"a guess that is right":     {kind: "Policy", resources: "policies", want: 1},
		"one that is not":           {kind: "Gateway", resources: "gateways", want: 1},
		"with es":                   {kind: "Mesh", resources: "meshes", want: 1},
		"of all subresources":       {kind: "Gateway", resources: "gateways/*", want: 1},
		"another kind":              {kind: "Gateway", resources: "routes"},
		"a guess beside definition": {kind: "Gateway", resources: "gatewaies", more: definition},
		"all but it":                {kind: "Gateway", resources: "'*'", exclude: "gateways"},
		"all but another":           {kind: "Gateway", resources: "'*'", exclude: "routes", want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rule := strings.Replace(ruleText("r", "", "false"), "apiGroups: [apps], apiVersions: [v1], resources: [deployments]", "apiGroups: [example.com], apiVersions: [v1], resources: ["+tc.resources+"]", 1)
			if tc.exclude != "" {
				rule = strings.Replace(rule, "  validations:", "    excludeResourceRules:\n    - {apiGroups: [example.com], apiVersions: [v1], resources: ["+tc.exclude+"], operations: ['*']}\n  validations:", 1)
			}
			text := "apiVersion: example.com/v1\nkind: " + tc.kind + "\nmetadata: {name: a, namespace: ns}\n" + tc.more
			report := checked(t, given(t, rule), rendered(t, text))
			if got := findings(report); len(got) != tc.want {
				t.Errorf("findings %q, want %d", got, tc.want)
			}
		})
	}
}

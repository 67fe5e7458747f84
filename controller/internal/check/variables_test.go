package check_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
)

func TestVariablesThatAreNotKnown(t *testing.T) {
	t.Parallel()
	deployment := func(fields string) string {
		return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, namespace: ns}\nspec: {" + fields + "}\n"
	}
	const of = "apps/v1/Deployment ns/a: Flux substitutes "
	const value = ", with a value that is not in what is checked here, so it is not known "
	for name, tc := range map[string]struct {
		text      string
		variables []string
		want      []string
		wantNotes []string
	}{
		"a number":              {text: deployment("replicas: '${N}', template: {metadata: {labels: {a: '${A}'}}}"), variables: []string{"A", "N"}, wantNotes: []string{of + "N" + value + "whether the API server takes it"}},
		"two in one value":      {text: deployment("replicas: '${N}${M}'"), variables: []string{"M", "N"}, wantNotes: []string{of + "M, N" + value + "whether the API server takes it"}},
		"with a default":        {text: deployment("replicas: '${N:=3}'"), variables: []string{"N"}, wantNotes: []string{of + "N" + value + "whether the API server takes it"}},
		"a text":                {text: deployment("template: {metadata: {labels: {a: '${A}'}}}"), variables: []string{"A"}},
		"another field's fault": {text: deployment("replicas: two, template: {metadata: {labels: {a: '${A}'}}}"), variables: []string{"A"}, want: []string{"high object-invalid all.yaml:1 the API server would reject this Deployment: cannot unmarshal string into field spec.replicas"}},
		"another name":          {text: deployment("replicas: '${NAME}'"), variables: []string{"N"}, want: []string{"high object-invalid all.yaml:1 the API server would reject this Deployment: cannot unmarshal string into field spec.replicas"}},
		"no variable of Flux's": {text: deployment("replicas: '${N}'"), want: []string{"high object-invalid all.yaml:1 the API server would reject this Deployment: cannot unmarshal string into field spec.replicas"}},
		"a rule that asks for it": {
			text:      deployment("template: {metadata: {labels: {a: '${A}'}}}") + "---" + ruleText("r", "", "int(object.spec.template.metadata.labels.a) > 1"),
			variables: []string{"A"}, wantNotes: []string{of + "A" + value + "whether ClusterRule/r holds"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result := rendered(t, tc.text)
			result.Objects[0].Variables = tc.variables
			report := checked(t, check.Options{}, result)
			if diff := cmp.Diff(tc.want, findings(report)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.wantNotes, notes(report)); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}

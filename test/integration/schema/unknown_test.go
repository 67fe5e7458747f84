package schema_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestUnknownFields has fields of neighbours of this API, and misspelt ones, that
// would change what an object means if they did anything: kubectl apply says so.
func TestUnknownFields(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		kind string
		set  string
		want string
	}{
		"actions":          {kind: rule, set: `spec: {actions: [{type: Evict}]}`, want: "spec.actions"},
		"serviceAccount":   {kind: rule, set: `spec: {serviceAccountName: default}`, want: "spec.serviceAccountName"},
		"paramKind":        {kind: clusterRule, set: `spec: {paramKind: {apiVersion: v1, kind: ConfigMap}}`, want: "spec.paramKind"},
		"auditAnnotations": {kind: clusterRule, set: `spec: {auditAnnotations: []}`, want: "spec.auditAnnotations"},
		"matchPolicy":      {kind: clusterRule, set: `spec: {matchConstraints: {matchPolicy: Exact}}`, want: "spec.matchConstraints.matchPolicy"},
		"a reference's selector": {
			kind: rule, set: `spec: {references: [{name: pods, apiVersion: v1, kind: Pod, selector: {}}]}`,
			want: "spec.references[0].selector",
		},
		"an exception's kind": {
			kind: rule, set: `spec: {exceptions: [{kind: Pod, name: a, reason: known}]}`,
			want: "spec.exceptions[0].kind",
		},
		"heartbeats":      {kind: lifeline, set: `spec: {heartbeats: {}}`, want: "spec.heartbeats"},
		"probe":           {kind: lifeline, set: `spec: {probe: {}}`, want: "spec.probe"},
		"heal.budget":     {kind: lifeline, set: `spec: {heal: {budget: 1}}`, want: "spec.heal.budget"},
		"lag.after":       {kind: lifeline, set: `spec: {lag: {after: 1m}}`, want: "spec.lag.after"},
		"a target's zone": {kind: intervention, set: `spec: {target: {zone: a}}`, want: "spec.target.zone"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := yaml.Marshal(with(t, minimal(t, tc.kind, "unknown"), tc.set).Object)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "object.yaml")
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := env.cluster.Kubectl(t.Context(), "apply", "--dry-run=server", "-f", file)
			if err == nil {
				t.Fatalf("accepted: %s", out)
			}
			want := fmt.Sprintf(`: %s in version "v1alpha1" cannot be handled as a %s: strict decoding error: unknown field "%s"`, tc.kind, tc.kind, tc.want)
			if !strings.HasSuffix(err.Error(), want) {
				t.Errorf("error = %v, want it to end with %q", err, want)
			}
		})
	}
}

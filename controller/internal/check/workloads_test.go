package check_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
)

// budget is a PodDisruptionBudget in the namespace ns.
func budget(name, says string) string {
	return "\n---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: " + name + ", namespace: ns}\nspec:\n  selector: {matchLabels: {set: all}}\n  " + says + "\n"
}

func TestBudgets(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"it lets one go":              {text: workload("a", 2, "") + budget("x", "maxUnavailable: 1")},
		"half of one rounds up":       {text: workload("a", 1, "") + budget("x", "maxUnavailable: 50%")},
		"it counts all that it takes": {text: workload("a", 1, "") + workload("b", 1, "") + budget("x", "minAvailable: 1")},
		"of another namespace":        {text: workload("a", 1, "") + "\n---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: x, namespace: other}\nspec: {minAvailable: 1, selector: {}}\n"},
		"minAvailable over one replica": {
			text: workload("a", 1, "") + budget("x", "minAvailable: 1"),
			want: []string{"medium pdb-blocks-drain all.yaml:1 the PodDisruptionBudget x (minAvailable 1 over 1 pod) never lets a pod be evicted, so no worker that holds one can be drained: set maxUnavailable to 1 in its place"},
		},
		"a share that rounds up to all": {
			text: workload("a", 2, "") + budget("x", "minAvailable: 51%"),
			want: []string{"medium pdb-blocks-drain all.yaml:1 the PodDisruptionBudget x (minAvailable 51% over 2 pods) never lets a pod be evicted, so no worker that holds one can be drained: set maxUnavailable to 1 in its place"},
		},
		"two of them": {
			text: workload("a", 2, "") + budget("x", "maxUnavailable: 1") + budget("z", "maxUnavailable: 1"),
			want: []string{"high pdbs-overlap all.yaml:1 the PodDisruptionBudgets x, z select the same pods: every eviction of a pod with more than one fails, so no worker that holds one can be drained; keep one of them"},
		},
		"a rule has said it": {
			text: ruleText("r", "  references:\n  - {name: pdbs, apiVersion: policy/v1, kind: PodDisruptionBudget}\n", "refs.pdbs.size() == 0") +
				workload("a", 1, "") + budget("x", "minAvailable: 1"),
			want: []string{"high r all.yaml:2 it does not hold"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, findings(checked(t, check.Options{}, rendered(t, tc.text)))); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFileServerProbe(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		name, image, probe string
		wantFinding        bool
	}{
		"as shipped":           {name: "source-controller", image: "ghcr.io/fluxcd/source-controller:v1.9.5", probe: "{httpGet: {path: /, port: http}}"},
		"the port's number":    {name: "source-controller", image: "ghcr.io/fluxcd/source-controller:v1.9.5", probe: "{httpGet: {path: /, port: 9090}}"},
		"of a shard":           {name: "source-controller-shard1", image: "x/y:v1.9.5", probe: "{httpGet: {path: /healthz, port: healthz}}", wantFinding: true},
		"elsewhere":            {name: "source-controller", image: "localhost:5000/source-controller:v1.9.5", probe: "{httpGet: {path: /readyz, port: healthz}}", wantFinding: true},
		"none":                 {name: "source-controller", image: "x/y:v1.9.5", probe: "null", wantFinding: true},
		"since it says who is": {name: "source-controller", image: "x/y:v1.10.0@sha256:00", probe: "{httpGet: {path: /readyz, port: healthz}}"},
		"of a standby":         {name: "helm-controller", image: "x/y:v1.4.0", probe: "{httpGet: {path: /readyz, port: healthz}}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := `
apiVersion: apps/v1
kind: Deployment
metadata: {name: ` + tc.name + `, namespace: flux-system, labels: {app.kubernetes.io/part-of: flux}}
spec:
  template:
    spec:
      containers:
      - name: manager
        image: ` + tc.image + `
        ports: [{name: http, containerPort: 9090}, {name: healthz, containerPort: 9440}]
        readinessProbe: ` + tc.probe + "\n"
			got := checked(t, check.Options{}, rendered(t, text)).Findings
			if found := len(got) == 1 && got[0].Check == check.FileServerProbe; found != tc.wantFinding || len(got) > 1 {
				t.Errorf("findings %v, want one: %t", got, tc.wantFinding)
			}
		})
	}
}

package schema_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// condition is a condition in YAML.
func condition(kind, status, reason, message string) string {
	return fmt.Sprintf(`{type: %s, status: "%s", reason: %s, message: "%s", lastTransitionTime: "2026-01-31T00:00:00Z"}`, kind, status, reason, message)
}

func TestPrinterColumns(t *testing.T) {
	t.Parallel()
	ready := condition("Stalled", "False", "Succeeded", "not this") + `, ` + condition("Ready", "True", "Succeeded", "watches 2 kinds")
	ruleHeader := []string{"NAME", "READY", "ENFORCEMENT", "ENFORCED", "SEVERITY", "FAIL", "ERROR", "PASS", "AGE", "STATUS"}
	lifelineHeader := []string{"NAME", "SURVIVES", "WEAKEST", "STOPS", "ALIVE", "HEALING", "AGE", "STATUS"}
	interventionHeader := []string{"NAME", "ACTION", "TARGET", "NODE", "PHASE", "VERDICT", "FOR", "AGE", "MESSAGE"}
	tests := map[string]struct {
		kind   string
		name   string
		spec   string
		status string
		// want is the header and the row, wide.
		want [][]string
		// wantNarrow is how many of the columns are shown without -o wide.
		wantNarrow int
	}{
		"a ClusterRule that was audited": {
			kind: clusterRule, name: "columns-full", spec: `spec: {severity: high}`,
			status:     `status: {enforcement: InProcess, conditions: [` + ready + `, ` + condition("Enforced", "False", "Conflict", "x") + `], summary: {pass: 7, fail: 2, error: 1, skip: 4}}`,
			want:       [][]string{ruleHeader, {"columns-full", "True", "InProcess", "False", "high", "2", "1", "7", "AGE", "watches 2 kinds"}},
			wantNarrow: 9,
		},
		"a ClusterRule that was not seen yet": {
			kind: clusterRule, name: "columns-new", status: `status: {}`,
			want:       [][]string{ruleHeader, {"columns-new", "", "", "", "medium", "", "", "", "AGE", ""}},
			wantNarrow: 9,
		},
		"a Rule that holds for everything": {
			kind: rule, name: "columns-full",
			status:     `status: {conditions: [` + ready + `], summary: {pass: 7, fail: 0, error: 0, skip: 0}}`,
			want:       [][]string{ruleHeader, {"columns-full", "True", "", "", "medium", "0", "0", "7", "AGE", "watches 2 kinds"}},
			wantNarrow: 9,
		},
		"a Lifeline that does not survive": {
			kind: lifeline, name: "columns-full",
			status: `status: {survives: false, weakest: {topologyKey: zone, name: worker-1, stops: [Deployment/a, Deployment/b]}, conditions: [` +
				condition("Survivable", "False", "DomainLossStops", "the loss of worker-1 stops 2 members") + `, ` +
				condition("Alive", "True", "Following", "every consumer follows") + `, ` +
				condition("Healing", "False", "DryRun", "would move a") + `]}`,
			want: [][]string{lifelineHeader, {
				"columns-full", "false", "worker-1", `["Deployment/a","Deployment/b"]`, "True", "DryRun", "AGE", "the loss of worker-1 stops 2 members",
			}},
			wantNarrow: 7,
		},
		"a Lifeline that survives, without lag": {
			kind: lifeline, name: "columns-survives",
			status: `status: {survives: true, conditions: [` +
				condition("Survivable", "True", "Survives", "fine") + `, ` + condition("Healing", "False", "Idle", "nothing to do") + `]}`,
			want:       [][]string{lifelineHeader, {"columns-survives", "true", "", "", "", "Idle", "AGE", "fine"}},
			wantNarrow: 7,
		},
		"an Intervention that was done": {
			kind: intervention, name: "columns-full", spec: `spec: {target: {node: worker-1}}`,
			status:     `status: {phase: Done, verdict: Improved, message: the replacement runs on worker-2}`,
			want:       [][]string{interventionHeader, {"columns-full", "Evict", "source-controller-1", "worker-1", "Done", "Improved", "flux", "AGE", "the replacement runs on worker-2"}},
			wantNarrow: 8,
		},
		"an Intervention that is claimed": {
			kind: intervention, name: "columns-new", status: `status: {}`,
			want:       [][]string{interventionHeader, {"columns-new", "Evict", "source-controller-1", "", "", "", "flux", "AGE", ""}},
			wantNarrow: 8,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			created := create(t, with(t, minimal(t, tc.kind, tc.name), tc.spec))
			if _, err := resource(tc.kind).UpdateStatus(t.Context(), with(t, created, tc.status), metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, printed(t, tc.kind, tc.name, "-o", "wide")); diff != "" {
				t.Errorf("wide (-want +got):\n%s", diff)
			}
			var narrow [][]string
			for _, line := range tc.want {
				narrow = append(narrow, line[:tc.wantNarrow])
			}
			if diff := cmp.Diff(narrow, printed(t, tc.kind, tc.name)); diff != "" {
				t.Errorf("narrow (-want +got):\n%s", diff)
			}
		})
	}
}

// printed is what kubectl get prints about one object, line by line and cell by
// cell. The age is shown as AGE.
func printed(t *testing.T, kind, name string, flags ...string) [][]string {
	t.Helper()
	text := kubectl(t, append([]string{"get", strings.ToLower(kind) + "s", name}, flags...)...)
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	// Cells begin where the words of the header do: an empty one is only space.
	starts := regexp.MustCompile(`\S+`).FindAllStringIndex(lines[0], -1)
	var cells [][]string
	for _, line := range lines {
		var row []string
		for i, start := range starts {
			from, to := min(start[0], len(line)), len(line)
			if i+1 < len(starts) {
				to = min(starts[i+1][0], len(line))
			}
			cell := strings.TrimSpace(line[from:to])
			if regexp.MustCompile(`^(\d+m)?\d+s$`).MatchString(cell) {
				cell = "AGE"
			}
			row = append(row, cell)
		}
		cells = append(cells, row)
	}
	return cells
}

// kubectl runs kubectl in the tests' namespace.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := env.cluster.Kubectl(t.Context(), append([]string{"--namespace", env.namespace}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

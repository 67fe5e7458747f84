package schema_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func interventionMarkers() map[string]marker {
	table := map[string]marker{
		"spec is required": {
			reject:     `spec: null`,
			wantReject: "spec: Required value",
		},
		"action is Evict": {
			accept:     `spec: {action: Evict}`,
			reject:     `spec: {action: Reboot}`,
			wantReject: `spec.action: Unsupported value: "Reboot": supported values: "Evict"`,
		},
		"attempts count from one": {
			accept:     `spec: {attempt: 1}`,
			reject:     `spec: {attempt: 0}`,
			wantReject: "spec.attempt: Invalid value: 0: spec.attempt in body should be greater than or equal to 1",
		},
		"an owner is of one of three kinds": {
			accept:     `spec: {owner: {kind: ClusterRule}}`,
			reject:     `spec: {owner: {kind: Deployment}}`,
			wantReject: `spec.owner.kind: Unsupported value: "Deployment": supported values: "Lifeline", "Rule", "ClusterRule"`,
		},
	}
	for field, most := range map[string]int{
		"holder": 253, "reason": 1024, "evidence": 64,
		"owner.namespace": 63, "owner.name": 253,
		"target.apiVersion": 317, "target.kind": 63, "target.namespace": 63, "target.name": 253,
		"target.node": 253, "target.workload": 317,
	} {
		table[fmt.Sprintf("%s is at most %d long", field, most)] = marker{
			accept:     `spec: ` + nested(field, long(most)),
			reject:     `spec: ` + nested(field, long(most+1)),
			wantReject: fmt.Sprintf("spec.%s: Too long: may not be more than %d bytes", field, most),
		}
	}
	for _, field := range []string{"owner.name", "target.name", "holder", "reason"} {
		table[field+" is not empty"] = marker{
			accept:     `spec: ` + nested(field, `a`),
			reject:     `spec: ` + nested(field, `""`),
			wantReject: fmt.Sprintf(`spec.%[1]s: Invalid value: "": spec.%[1]s in body should be at least 1 chars long`, field),
		}
	}
	for _, field := range []string{
		"owner", "action", "target", "attempt", "holder", "reason", "owner.kind", "owner.name", "owner.uid",
		"target.apiVersion", "target.kind", "target.name", "target.uid",
	} {
		table[field+" is required"] = marker{
			reject:     `spec: ` + nested(field, `null`),
			wantReject: "spec." + field + ": Required value",
		}
	}
	return table
}

func interventionStatusMarkers() map[string]marker {
	return map[string]marker{
		"phase is one of four": {
			accept:     `status: {phase: Refused}`,
			reject:     `status: {phase: Pending}`,
			wantReject: `status.phase: Unsupported value: "Pending": supported values: "Claimed", "Done", "Failed", "Refused"`,
		},
		"verdict is one of two": {
			accept:     `status: {verdict: Futile}`,
			reject:     `status: {verdict: Worse}`,
			wantReject: `status.verdict: Unsupported value: "Worse": supported values: "Improved", "Futile"`,
		},
		"evidence is at most 64 long": {
			accept:     `status: {evidence: ` + long(64) + `}`,
			reject:     `status: {evidence: ` + long(65) + `}`,
			wantReject: "status.evidence: Too long: may not be more than 64 bytes",
		},
		"message is at most 1024 long": {
			accept:     `status: {message: ` + long(1024) + `}`,
			reject:     `status: {message: ` + long(1025) + `}`,
			wantReject: "status.message: Too long: may not be more than 1024 bytes",
		},
		"completedAt is a time": {
			accept:     `status: {completedAt: "2026-01-31T00:00:00Z"}`,
			reject:     `status: {completedAt: yesterday}`,
			wantReject: `status.completedAt: Invalid value: "yesterday": completedAt in body must be of type date-time: "yesterday"`,
		},
	}
}

// claimNeverChanges is the message of the rule on an Intervention's spec.
const claimNeverChanges = "the spec of an Intervention never changes: it is the claim"

// update is a change of an existing Intervention and what the API server says to it.
type update struct {
	change string
	want   string
}

func interventionUpdates() map[string]update {
	return map[string]update{
		"the same again":    {change: `spec: {attempt: 1}`},
		"a label":           {change: `metadata: {labels: {a: b}}`},
		"another attempt":   {change: `spec: {attempt: 2}`, want: "spec: Invalid value: " + claimNeverChanges},
		"another target":    {change: `spec: {target: {uid: other}}`, want: "spec: Invalid value: " + claimNeverChanges},
		"evidence added":    {change: `spec: {evidence: abc}`, want: "spec: Invalid value: " + claimNeverChanges},
		"a reason reworded": {change: `spec: {reason: another}`, want: "spec: Invalid value: " + claimNeverChanges},
	}
}

func TestInterventionSpecNeverChanges(t *testing.T) {
	t.Parallel()
	claim := create(t, minimal(t, intervention, "claim"))
	for name, tc := range interventionUpdates() {
		t.Run(name, func(t *testing.T) {
			_, err := resource(intervention).Update(t.Context(), with(t, claim, tc.change), metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
			if diff := cmp.Diff(tc.want, complaints(t, err)); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

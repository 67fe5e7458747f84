package schema_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestStatusSubresource has a spec that is not changed through /status, a status
// that is not changed beside it, and a generation that counts changes of the spec.
func TestStatusSubresource(t *testing.T) {
	t.Parallel()
	type written struct {
		Spec, Status any
		Generation   int64
	}
	tests := map[string]struct {
		kind   string
		spec   string
		status string
		// wantSpecSame is for a spec that cannot be changed at all.
		wantSpecSame bool
	}{
		"a ClusterRule": {
			kind: clusterRule, spec: `spec: {suspend: true}`,
			status: `status: {observedGeneration: 1, summary: {pass: 1, fail: 2, error: 3, skip: 4}}`,
		},
		"a Rule": {
			kind: rule, spec: `spec: {suspend: true}`,
			status: `status: {observedGeneration: 1, summary: {pass: 1, fail: 2, error: 3, skip: 4}}`,
		},
		"a Lifeline": {
			kind: lifeline, spec: `spec: {heal: {mode: Auto}}`,
			status: `status: {observedGeneration: 1, survives: true}`,
		},
		"an Intervention": {
			kind: intervention, spec: `metadata: {labels: {a: b}}`, wantSpecSame: true,
			status: `status: {phase: Done, message: evicted}`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			first := create(t, minimal(t, tc.kind, "subresource"))
			status := parse(t, tc.status)["status"]

			both := with(t, with(t, first, tc.spec), tc.status)
			second, err := resource(tc.kind).UpdateStatus(ctx, both, metav1.UpdateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			want := written{Spec: first.Object["spec"], Status: status, Generation: 1}
			if diff := cmp.Diff(want, written{Spec: second.Object["spec"], Status: second.Object["status"], Generation: second.GetGeneration()}); diff != "" {
				t.Errorf("after a write of /status (-want +got):\n%s", diff)
			}

			without := with(t, with(t, second, tc.spec), `status: null`)
			third, err := resource(tc.kind).Update(ctx, without, metav1.UpdateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			want = written{Spec: without.Object["spec"], Status: status, Generation: 2}
			if tc.wantSpecSame {
				want.Generation = 1
			}
			if diff := cmp.Diff(want, written{Spec: third.Object["spec"], Status: third.Object["status"], Generation: third.GetGeneration()}); diff != "" {
				t.Errorf("after a write of the object (-want +got):\n%s", diff)
			}
		})
	}
}

// TestStatusIsNotCreated has a status that is given at creation and does not last:
// nobody who may create an Intervention can give it a final phase with that.
func TestStatusIsNotCreated(t *testing.T) {
	t.Parallel()
	unseen := map[string]any{"observedGeneration": int64(-1)}
	for kind, tc := range map[string]struct {
		status string
		want   any
	}{
		clusterRule:  {`status: {observedGeneration: 7}`, unseen},
		rule:         {`status: {observedGeneration: 7}`, unseen},
		lifeline:     {`status: {survives: true}`, unseen},
		intervention: {status: `status: {phase: Done}`},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			created, err := tryCreate(t.Context(), with(t, minimal(t, kind, "with-status"), tc.status))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, created.Object["status"]); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
		})
	}
}

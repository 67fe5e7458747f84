package lifeline

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// The first and the last pods of a rollout are as much a part of it as those between.
func TestNothingMovesDuringARollout(t *testing.T) {
	t.Parallel()
	deployed := func(replicas, updated int32) func(w *world) {
		return func(w *world) {
			w.deployment("web", 2, "a", "a").Status = appsv1.DeploymentStatus{Replicas: replicas, UpdatedReplicas: updated}
		}
	}
	set := func(strategy appsv1.StatefulSetUpdateStrategy, status appsv1.StatefulSetStatus) func(w *world) {
		return func(w *world) {
			s := w.statefulSet("web", 2, "a", "a")
			s.Spec.UpdateStrategy, s.Status = strategy, status
		}
	}
	rolling := appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType}
	onDelete := appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
	partitioned := func(at int32) appsv1.StatefulSetUpdateStrategy {
		return appsv1.StatefulSetUpdateStrategy{
			Type: appsv1.RollingUpdateStatefulSetStrategyType, RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: &at},
		}
	}
	between := appsv1.StatefulSetStatus{Replicas: 2, UpdatedReplicas: 1, CurrentRevision: "1", UpdateRevision: "2"}
	tests := map[string]struct {
		build      func(w *world)
		wantReason string
	}{
		"a Deployment at rest":                     {deployed(2, 2), v1alpha1.ReasonRebalancing},
		"a Deployment's first new pod":             {deployed(3, 1), v1alpha1.ReasonBlocked},
		"a Deployment's last old pod":              {deployed(3, 2), v1alpha1.ReasonBlocked},
		"a StatefulSet at rest":                    {set(rolling, appsv1.StatefulSetStatus{Replicas: 2, UpdatedReplicas: 2, CurrentRevision: "2", UpdateRevision: "2"}), v1alpha1.ReasonRebalancing},
		"a StatefulSet between two revisions":      {set(rolling, between), v1alpha1.ReasonBlocked},
		"a StatefulSet whose pods are not all new": {set(rolling, appsv1.StatefulSetStatus{Replicas: 2, UpdatedReplicas: 1, CurrentRevision: "2", UpdateRevision: "2"}), v1alpha1.ReasonBlocked},
		"a StatefulSet with a partition of zero":   {set(partitioned(0), between), v1alpha1.ReasonBlocked},
		"a StatefulSet with a partition":           {set(partitioned(1), between), v1alpha1.ReasonRebalancing},
		"a StatefulSet that waits for deletions":   {set(onDelete, between), v1alpha1.ReasonRebalancing},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld("a", "b")
			tt.build(w)
			if d := w.plan(); d.Reason != tt.wantReason {
				t.Errorf("Plan() says %s: %s, want %s", d.Reason, d.Message, tt.wantReason)
			}
		})
	}
}

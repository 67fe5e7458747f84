package lifeline

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestEvidence(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change   func(w *world)
		wantSame bool
	}{
		"nothing": {change: func(*world) {}, wantSame: true},
		"a replacement in the same place": {
			change: func(w *world) {
				w.deletePod("kustomize-controller-1")
				w.pod("new", "kustomize-controller-rs", "kustomize-controller", "a", epoch().Add(time.Hour))
			},
			wantSame: true,
		},
		"another leader": {
			change:   func(w *world) { w.lease(ns, "kustomize-controller-leader-election", "kustomize-controller-0", 0) },
			wantSame: true,
		},
		"a node that nothing can be placed on": {
			change:   func(w *world) { w.node("d").Spec.Unschedulable = true },
			wantSame: true,
		},
		"the time of a taint": {
			change:   func(w *world) { w.getNode("c").Spec.Taints[0].TimeAdded = &metav1.Time{Time: epoch()} },
			wantSame: true,
		},
		"another member": {
			change:   func(w *world) { w.deployment("web", 2, "a", "b") },
			wantSame: true,
		},
		"a new node":        {change: func(w *world) { w.node("d") }},
		"a node that fell":  {change: func(w *world) { setNodeReady(w.getNode("b"), corev1.ConditionUnknown) }},
		"a new taint":       {change: func(w *world) { w.getNode("b").Spec.Taints = w.getNode("c").Spec.Taints }},
		"a node that moved": {change: func(w *world) { w.getNode("b").Labels[corev1.LabelHostname] = "x" }},
		"a node that fits now": {
			change: func(w *world) {
				w.getNode("c").Spec.Taints[0].Effect = corev1.TaintEffectPreferNoSchedule
			},
		},
		"the template": {
			change: func(w *world) {
				w.Deployments[0].Spec.Template.Annotations = map[string]string{"restartedAt": "now"}
			},
		},
		"the workload": {
			change: func(w *world) {
				w.Deployments[0].UID = "again"
				w.ReplicaSets[0].OwnerReferences[0].UID = "again"
			},
		},
		"the number of replicas": {
			change: func(w *world) {
				three := int32(3)
				w.Deployments[0].Spec.Replicas = &three
				w.pod("third", "kustomize-controller-rs", "kustomize-controller", "a", epoch())
			},
		},
	}
	evidence := func(t *testing.T, w *world) string {
		t.Helper()
		d := w.plan()
		if d.Move == nil {
			t.Fatalf("no move: %s: %s", d.Reason, d.Message)
		}
		return d.Move.Evidence
	}
	build := func() *world {
		w := stacked("c", "e")
		w.getNode("c").Spec.Taints = []corev1.Taint{{Key: "x", Effect: corev1.TaintEffectNoSchedule}}
		return w
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, w := evidence(t, build()), build()
			tt.change(w)
			if same := evidence(t, w) == before; same != tt.wantSame {
				t.Errorf("same evidence: %v, want %v", same, tt.wantSame)
			}
		})
	}
}

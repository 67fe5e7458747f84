package lifeline

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

func TestAssess(t *testing.T) {
	t.Parallel()
	improved := func(message string) Assessment {
		return Assessment{Settled: true, Verdict: v1alpha1.VerdictImproved, Message: message}
	}
	futile := func(message string) Assessment {
		return Assessment{Settled: true, Verdict: v1alpha1.VerdictFutile, Message: message}
	}
	replace := func(w *world, node string) *corev1.Pod {
		w.deletePod("kustomize-controller-1")
		return w.pod("new", "kustomize-controller-rs", "kustomize-controller", node, w.Now.Add(-30*time.Second))
	}
	tests := map[string]struct {
		after func(w *world, iv *v1alpha1.Intervention)
		want  Assessment
	}{
		"the pod is still there": {
			after: func(*world, *v1alpha1.Intervention) {},
			want:  Assessment{Message: "pod kustomize-controller-1 is still there", RetryAfter: 9 * time.Minute},
		},
		"the pod never went": {
			after: func(w *world, _ *v1alpha1.Intervention) { w.Now = w.Now.Add(9 * time.Minute) },
			want:  futile("pod kustomize-controller-1 is still there after 10m0s"),
		},
		"the time counts from the end of the move": {
			after: func(w *world, iv *v1alpha1.Intervention) {
				iv.Status.CompletedAt = &metav1.Time{Time: w.Now}
				w.deletePod("kustomize-controller-1")
			},
			want: Assessment{Message: "1 of 2 replicas of kustomize-controller are ready", RetryAfter: 10 * time.Minute},
		},
		"the replacement is not ready yet": {
			after: func(w *world, _ *v1alpha1.Intervention) { setReady(replace(w, "b"), corev1.ConditionFalse) },
			want:  Assessment{Message: "1 of 2 replicas of kustomize-controller are ready", RetryAfter: 9 * time.Minute},
		},
		"the replacement never became ready": {
			after: func(w *world, _ *v1alpha1.Intervention) {
				setReady(replace(w, "b"), corev1.ConditionFalse)
				w.Now = w.Now.Add(time.Hour)
			},
			want: futile("1 of 2 replicas of kustomize-controller are ready after 10m0s"),
		},
		"the replacement is apart": {
			after: func(w *world, _ *v1alpha1.Intervention) { replace(w, "b") },
			want:  improved("kustomize-controller outlives the loss of any one domain"),
		},
		"the pod is on its way out and the replacement apart": {
			after: func(w *world, _ *v1alpha1.Intervention) {
				w.getPod("kustomize-controller-1").DeletionTimestamp = &metav1.Time{Time: w.Now}
				w.pod("new", "kustomize-controller-rs", "kustomize-controller", "b", w.Now)
			},
			want: improved("kustomize-controller outlives the loss of any one domain"),
		},
		"the replacement is in the same place": {
			after: func(w *world, _ *v1alpha1.Intervention) { replace(w, "a") },
			want:  futile("kustomize-controller is stopped by the loss of a (kubernetes.io/hostname), z1 (topology.kubernetes.io/zone) as before"),
		},
		"the replacement is on another node of the zone": {
			after: func(w *world, _ *v1alpha1.Intervention) { replace(w, "a2") },
			want:  improved("kustomize-controller is stopped by the loss of z1 (topology.kubernetes.io/zone) still, and no more by that of 1 others"),
		},
		"the node it came from is gone": {
			after: func(w *world, iv *v1alpha1.Intervention) {
				replace(w, "a2")
				iv.Spec.Target.Node = "gone"
			},
			want: futile("kustomize-controller is stopped by the loss of z1 (topology.kubernetes.io/zone) as before"),
		},
		"every replica is new": {
			after: func(w *world, _ *v1alpha1.Intervention) {
				replace(w, "a2")
				w.getPod("kustomize-controller-0").CreationTimestamp = metav1.NewTime(w.Now)
			},
			want: futile("kustomize-controller is stopped by the loss of z1 (topology.kubernetes.io/zone) as before"),
		},
		"no member any more": {
			after: func(w *world, _ *v1alpha1.Intervention) { w.Deployments[0].Labels = nil },
			want:  futile("Deployment/kustomize-controller is no member any more"),
		},
		"scaled to zero": {
			after: func(w *world, _ *v1alpha1.Intervention) { w.Deployments[0].Spec.Replicas = new(int32(0)) },
			want:  futile("Deployment/kustomize-controller is scaled to zero"),
		},
		"a selector that cannot be used": {
			after: func(w *world, _ *v1alpha1.Intervention) {
				w.Lifeline.Spec.Selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "x", Operator: "Near"}}
			},
			want: futile(`cannot be told: spec.selector: "Near" is not a valid label selector operator`),
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.Lifeline.Spec.TopologyKeys = []string{corev1.LabelHostname, zone}
			w.node("a", zone, "z1")
			w.node("a2", zone, "z1")
			w.node("b", zone, "z2")
			w.deployment("kustomize-controller", 2, "a", "a")
			m := w.plan().Move
			iv := w.intervention("i", time.Minute, m, v1alpha1.PhaseDone, "")
			tt.after(w, iv)
			got := Assess(iv, w.Snapshot)
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(Assessment{}, "Evidence")); diff != "" {
				t.Errorf("Assess() differs (-want +got):\n%s", diff)
			}
			known := got.Verdict == v1alpha1.VerdictFutile && !strings.HasSuffix(got.Message, "is no member any more") && !strings.HasPrefix(got.Message, "cannot be told")
			if (len(got.Evidence) == evidenceLength) != known {
				t.Errorf("evidence %q of %+v", got.Evidence, got)
			}
		})
	}
}

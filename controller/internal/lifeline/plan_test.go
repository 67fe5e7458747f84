package lifeline

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// stacked has two replicas of kustomize-controller on a, and room on b.
func stacked(nodes ...string) *world {
	w := newWorld(append([]string{"a", "b"}, nodes...)...)
	w.deployment("kustomize-controller", 2, "a", "a")
	return w
}

func TestPlanMovesOneStandby(t *testing.T) {
	t.Parallel()
	w := stacked()
	w.lease(ns, "kustomize-controller-leader-election", "kustomize-controller-1_x", 0)
	d := w.plan()
	if d.Move == nil {
		t.Fatalf("no move: %s: %s", d.Reason, d.Message)
	}
	why := "all 2 ready replicas of kustomize-controller are in a (kubernetes.io/hostname), and b can take one"
	want := Decision{
		Reason:  v1alpha1.ReasonRebalancing,
		Message: "moving pod kustomize-controller-0 away from a: " + why,
		Move: &Move{
			Namespace: ns, Name: "kustomize-controller-0", UID: "uid-kustomize-controller-0", Node: "a",
			Workload: "Deployment/kustomize-controller", Evidence: d.Move.Evidence, Attempt: 1, Why: why,
		},
	}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Errorf("Plan() differs (-want +got):\n%s", diff)
	}
	if len(d.Move.Evidence) != evidenceLength {
		t.Errorf("evidence %q has not %d digits", d.Move.Evidence, evidenceLength)
	}
	wantTarget := v1alpha1.TargetReference{
		APIVersion: "v1", Kind: "Pod", Namespace: ns, Name: "kustomize-controller-0",
		UID: "uid-kustomize-controller-0", Node: "a", Workload: "Deployment/kustomize-controller",
	}
	if diff := cmp.Diff(wantTarget, d.Move.Target()); diff != "" {
		t.Errorf("Target() differs (-want +got):\n%s", diff)
	}
}

// Each case says which pod moves, or for what reason none does.
func TestPlan(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		build       func() *world
		wantPod     string
		wantReason  string
		wantMessage string // a part of it
	}{
		"survives": {
			build: func() *world {
				w := newWorld("a", "b")
				w.deployment("kustomize-controller", 2, "a", "b")
				return w
			},
			wantReason:  v1alpha1.ReasonIdle,
			wantMessage: "there is nothing to heal",
		},
		"no member": {
			build:       func() *world { return newWorld("a", "b") },
			wantReason:  v1alpha1.ReasonIdle,
			wantMessage: "there is nothing to heal: spec.selector matches no",
		},
		"off": {
			build: func() *world {
				w := stacked()
				w.Lifeline.Spec.Heal.Mode = v1alpha1.HealOff
				return w
			},
			wantReason:  v1alpha1.ReasonHealingOff,
			wantMessage: "spec.heal.mode is Off",
		},
		"the youngest where no lease is known": {
			build:      func() *world { return stacked() },
			wantPod:    "kustomize-controller-1",
			wantReason: v1alpha1.ReasonRebalancing,
		},
		"all of three replicas in one domain": {
			build: func() *world {
				w := newWorld("a", "b")
				w.deployment("kustomize-controller", 3, "a", "a", "a")
				w.lease(ns, "kustomize-controller-leader-election", "kustomize-controller-2_x", 0)
				return w
			},
			wantPod:    "kustomize-controller-1",
			wantReason: v1alpha1.ReasonRebalancing,
		},
		"standbys first, then by name": {
			build: func() *world {
				w := newWorld("a", "b")
				w.deployment("alpha", 2, "a", "a")
				w.deployment("omega", 2, "a", "a")
				w.deployment("kustomize-controller", 2, "a", "a")
				w.profile("omega", v1alpha1.ProfileStandby)
				return w
			},
			wantPod:    "kustomize-controller-1",
			wantReason: v1alpha1.ReasonRebalancing,
		},
		"a member that cannot be helped does not stand in the way": {
			build: func() *world {
				w := newWorld("a", "b")
				w.deployment("kustomize-controller", 2, "a")
				w.deployment("web", 2, "a", "a")
				return w
			},
			wantPod:    "web-1",
			wantReason: v1alpha1.ReasonRebalancing,
		},
		"every replica holds a lease": {
			build: func() *world {
				w := stacked()
				w.lease(ns, "kustomize-controller-leader-election", "kustomize-controller-0_x", 0)
				w.lease(ns, "shard", "kustomize-controller-1_x", 0)
				return w
			},
			wantReason:  v1alpha1.ReasonBlocked,
			wantMessage: "no replica of kustomize-controller can be moved: pod kustomize-controller-1 is the leader",
		},
		"the leader's lease has just expired": {
			build: func() *world {
				w := stacked()
				w.lease(ns, "kustomize-controller-leader-election", "kustomize-controller-0_x", 20*time.Second)
				return w
			},
			wantReason:  v1alpha1.ReasonBlocked,
			wantMessage: "may be electing a leader: none of its pods holds Lease kustomize-controller-leader-election",
		},
		"the leader has released its lease": {
			build: func() *world {
				w := stacked()
				w.lease(ns, "kustomize-controller-leader-election", "", 0)
				return w
			},
			wantReason:  v1alpha1.ReasonBlocked,
			wantMessage: "may be electing a leader",
		},
		"an abandoned lease is no lease": {
			build: func() *world {
				w := stacked()
				w.lease(ns, "kustomize-controller-leader-election", "kustomize-controller-1_x", time.Hour)
				return w
			},
			wantPod:    "kustomize-controller-1",
			wantReason: v1alpha1.ReasonRebalancing,
		},
		"one replica asked for": {
			build: func() *world {
				w := newWorld("a", "b")
				w.deployment("kustomize-controller", 1, "a")
				return w
			},
			wantReason:  v1alpha1.ReasonIdle,
			wantMessage: "kustomize-controller asks for 1 replica and needs 2",
		},
		"only a singleton is stopped": {
			build: func() *world {
				w := newWorld("a", "b")
				w.deployment("source-controller", 2, "a", "a")
				w.getPod("source-controller-0").Spec.Volumes = []corev1.Volume{claimVolume()}
				return w
			},
			wantReason:  v1alpha1.ReasonIdle,
			wantMessage: "no Standby or ActiveActive member is stopped",
		},
		"a member that is being deleted": {
			build: func() *world {
				w := stacked()
				w.Deployments[0].DeletionTimestamp = &metav1.Time{Time: epoch()}
				return w
			},
			wantReason:  v1alpha1.ReasonIdle,
			wantMessage: "no move would help",
		},
		"a replica is missing": {
			build: func() *world {
				w := newWorld("a", "b")
				w.deployment("kustomize-controller", 3, "a", "a")
				return w
			},
			wantReason:  v1alpha1.ReasonBlocked,
			wantMessage: "kustomize-controller has 2 of 3 replicas ready",
		},
		"a surplus pod is starting": {
			build: func() *world {
				w := stacked()
				setReady(w.pod("new", "kustomize-controller-rs", "kustomize-controller", "b", epoch()), corev1.ConditionFalse)
				return w
			},
			wantReason:  v1alpha1.ReasonBlocked,
			wantMessage: "kustomize-controller has a pod that is not ready: new",
		},
		"a pod that failed for good is no pod that is starting": {
			build: func() *world {
				w := stacked()
				p := w.pod("evicted", "kustomize-controller-rs", "kustomize-controller", "b", epoch())
				setReady(p, corev1.ConditionFalse)
				p.Status.Phase = corev1.PodFailed
				return w
			},
			wantPod:    "kustomize-controller-1",
			wantReason: v1alpha1.ReasonRebalancing,
		},
		"a template that nobody has acted on yet": {
			build: func() *world {
				w := stacked()
				w.Deployments[0].Generation = 2
				w.Deployments[0].Status.ObservedGeneration = 1
				return w
			},
			wantReason:  v1alpha1.ReasonBlocked,
			wantMessage: "kustomize-controller is being rolled out",
		},
		"a rollout under way": {
			build: func() *world {
				w := stacked()
				w.Deployments[0].Status.Replicas = 2
				w.Deployments[0].Status.UpdatedReplicas = 1
				return w
			},
			wantReason:  v1alpha1.ReasonBlocked,
			wantMessage: "kustomize-controller is being rolled out",
		},
		"one domain": {
			build: func() *world {
				w := newWorld("a")
				w.deployment("kustomize-controller", 2, "a", "a")
				return w
			},
			wantReason:  v1alpha1.ReasonNoRoom,
			wantMessage: "kubernetes.io/hostname has 1 domain with a schedulable Ready node",
		},
		"the other domain is cordoned": {
			build: func() *world {
				w := stacked()
				w.getNode("b").Spec.Unschedulable = true
				return w
			},
			wantReason:  v1alpha1.ReasonNoRoom,
			wantMessage: "kubernetes.io/hostname has 1 domain with a schedulable Ready node",
		},
		"no node elsewhere fits": {
			build: func() *world {
				w := stacked()
				w.Deployments[0].Spec.Template.Spec.Affinity = requireNode(corev1.LabelHostname, corev1.NodeSelectorOpIn, "a")
				return w
			},
			wantReason:  v1alpha1.ReasonNoRoom,
			wantMessage: "no schedulable Ready node outside a (kubernetes.io/hostname) fits it",
		},
		"a tolerated taint and an affinity that allows it": {
			build: func() *world {
				w := stacked()
				w.getNode("b").Spec.Taints = []corev1.Taint{
					{Key: "infra", Effect: corev1.TaintEffectNoExecute},
					{Key: "slow", Effect: corev1.TaintEffectPreferNoSchedule},
				}
				w.Deployments[0].Spec.Template.Spec.Tolerations = []corev1.Toleration{{Key: "infra", Operator: corev1.TolerationOpExists}}
				w.Deployments[0].Spec.Template.Spec.Affinity = requireNode(corev1.LabelHostname, corev1.NodeSelectorOpIn, "a", "b")
				return w
			},
			wantPod:    "kustomize-controller-1",
			wantReason: v1alpha1.ReasonRebalancing,
		},
		"a pod with a claim stays": {
			build: func() *world {
				w := stacked()
				w.getPod("kustomize-controller-1").Spec.Volumes = []corev1.Volume{claimVolume()}
				return w
			},
			wantPod:    "kustomize-controller-0",
			wantReason: v1alpha1.ReasonRebalancing,
		},
		"a claim is told before the leader": {
			build: func() *world {
				w := stacked()
				w.lease(ns, "kustomize-controller-leader-election", "kustomize-controller-1_x", 0)
				w.getPod("kustomize-controller-0").Spec.Volumes = []corev1.Volume{claimVolume()}
				return w
			},
			wantReason:  v1alpha1.ReasonBlocked,
			wantMessage: "pod kustomize-controller-0: it has a volume claim",
		},
		"a budget allows it": {
			build: func() *world {
				w := stacked()
				w.pdb("kc", "kustomize-controller", 1)
				w.pdb("other", "helm-controller", 0)
				w.pdb("abroad", "kustomize-controller", 0).Namespace = "other"
				w.pdb("nobody", "", 0).Spec.Selector = nil
				return w
			},
			wantPod:    "kustomize-controller-1",
			wantReason: v1alpha1.ReasonRebalancing,
		},
		"a budget forbids it": {
			build: func() *world {
				w := stacked()
				w.pdb("kc", "kustomize-controller", 0)
				return w
			},
			wantReason:  v1alpha1.ReasonBlocked,
			wantMessage: "pod kustomize-controller-1: the PodDisruptionBudget kc allows no disruption",
		},
		"an empty selector selects everything": {
			build: func() *world {
				w := stacked()
				w.pdb("all", "", 0).Spec.Selector = &metav1.LabelSelector{}
				return w
			},
			wantReason:  v1alpha1.ReasonBlocked,
			wantMessage: "the PodDisruptionBudget all allows no disruption",
		},
		"a budget that nobody has acted on yet": {
			build: func() *world {
				w := stacked()
				w.pdb("kc", "kustomize-controller", 1).Generation = 1
				return w
			},
			wantReason:  v1alpha1.ReasonBlocked,
			wantMessage: "the PodDisruptionBudget kc has not been observed",
		},
		"two budgets": {
			build: func() *world {
				w := stacked()
				w.pdb("kd", "kustomize-controller", 1)
				w.pdb("kc", "kustomize-controller", 1)
				return w
			},
			wantReason:  v1alpha1.ReasonBlocked,
			wantMessage: "the PodDisruptionBudgets kc and kd both select it",
		},
		"most nodes are not Ready": {
			build: func() *world {
				w := stacked("c", "d", "e")
				for _, n := range []string{"c", "d", "e"} {
					setNodeReady(w.getNode(n), corev1.ConditionUnknown)
				}
				return w
			},
			wantReason:  v1alpha1.ReasonBlocked,
			wantMessage: "3 of 5 nodes are not Ready: nothing is moved until that is over",
		},
		"half of the nodes are not Ready": {
			build: func() *world {
				w := stacked("c", "d")
				for _, n := range []string{"c", "d"} {
					setNodeReady(w.getNode(n), corev1.ConditionUnknown)
				}
				return w
			},
			wantPod:    "kustomize-controller-1",
			wantReason: v1alpha1.ReasonRebalancing,
		},
		"most heartbeats are overdue": {
			build: func() *world {
				w := stacked("c")
				w.lease("kube-node-lease", "a", "a", 0)
				w.lease("kube-node-lease", "b", "b", time.Minute)
				w.lease("kube-node-lease", "c", "c", time.Minute)
				return w
			},
			wantReason:  v1alpha1.ReasonBlocked,
			wantMessage: "the heartbeats of 2 of 3 nodes are overdue",
		},
		"every leader seems to have died at once": {
			build: func() *world {
				w := stacked()
				w.deployment("web", 2, "a", "a")
				w.lease(ns, "kustomize-controller-leader-election", "kustomize-controller-0_x", time.Minute)
				w.lease(ns, "web-leader-election", "web-0_x", time.Minute)
				return w
			},
			wantReason:  v1alpha1.ReasonBlocked,
			wantMessage: "none of the 2 Leases of the members is being renewed",
		},
		"another key is not made worse": {
			// b keeps the zones apart and puts both replicas in one rack.
			build: func() *world {
				w := newWorld()
				w.Lifeline.Spec.TopologyKeys = []string{zone, rack}
				w.node("a", zone, "z1", rack, "r1")
				w.node("a2", zone, "z1", rack, "r2")
				w.node("b", zone, "z2", rack, "r2")
				w.deployment("kustomize-controller", 2, "a", "a2")
				w.lease(ns, "kustomize-controller-leader-election", "kustomize-controller-1_x", 0)
				return w
			},
			wantReason:  v1alpha1.ReasonBlocked,
			wantMessage: "pod kustomize-controller-1 is the leader",
		},
		"a third key is not made worse for the sake of two": {
			build: func() *world {
				w := newWorld()
				w.Lifeline.Spec.TopologyKeys = []string{zone, rack, "row"}
				w.node("a", zone, "z1", rack, "r1", "row", "1")
				w.node("a2", zone, "z1", rack, "r1", "row", "2")
				w.node("b", zone, "z2", rack, "r2", "row", "1")
				w.node("b2", zone, "z3", rack, "r3", "row", "2").Spec.Unschedulable = true
				w.deployment("kustomize-controller", 2, "a", "a2")
				w.lease(ns, "kustomize-controller-leader-election", "kustomize-controller-0_x", 0)
				return w
			},
			wantReason:  v1alpha1.ReasonBlocked,
			wantMessage: "pod kustomize-controller-0 is the leader",
		},
		"the pod whose move helps both keys": {
			build: func() *world {
				w := newWorld()
				w.Lifeline.Spec.TopologyKeys = []string{zone, rack}
				w.node("a", zone, "z1", rack, "r1")
				w.node("a2", zone, "z1", rack, "r2")
				w.node("b", zone, "z2", rack, "r1")
				w.deployment("kustomize-controller", 2, "a", "a2")
				return w
			},
			wantPod:    "kustomize-controller-0",
			wantReason: v1alpha1.ReasonRebalancing,
		},
		"no node helps one key without hurting the other": {
			build: func() *world {
				w := newWorld()
				w.Lifeline.Spec.TopologyKeys = []string{zone, rack}
				w.node("a", zone, "z1", rack, "r1")
				w.node("a2", zone, "z1", rack, "r2")
				w.node("b", zone, "z2", rack, "r2")
				d := w.deployment("kustomize-controller", 2, "a", "a2")
				d.Spec.Template.Spec.NodeName = "a2"
				return w
			},
			wantReason:  v1alpha1.ReasonNoRoom,
			wantMessage: "no schedulable Ready node outside z1 (topology.kubernetes.io/zone) fits it and keeps it apart",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := tt.build().plan()
			got := ""
			if d.Move != nil {
				got = d.Move.Name
			}
			if got != tt.wantPod || d.Reason != tt.wantReason || !strings.Contains(d.Message, tt.wantMessage) {
				t.Errorf("Plan() moves %q: %s: %q\nwant %q: %s: …%q…", got, d.Reason, d.Message, tt.wantPod, tt.wantReason, tt.wantMessage)
			}
		})
	}
}

func TestPlanTellsTheMostImportantReason(t *testing.T) {
	t.Parallel()
	w := newWorld("a", "b")
	w.deployment("alpha", 1, "a")
	w.deployment("beta", 2, "a", "a").Spec.Template.Spec.NodeName = "a"
	w.deployment("gamma", 2, "a", "a")
	w.pdb("gamma", "gamma", 0)
	w.deployment("omega", 1, "a")
	d := w.plan()
	if d.Reason != v1alpha1.ReasonBlocked || !strings.Contains(d.Message, "gamma") {
		t.Errorf("Plan() says %s: %s, want Blocked for gamma", d.Reason, d.Message)
	}
	w.PDBs = []*policyv1.PodDisruptionBudget{}
	if d := w.plan(); d.Move == nil || d.Move.Workload != "Deployment/gamma" {
		t.Errorf("Plan() says %s: %s, want to move gamma", d.Reason, d.Message)
	}
}

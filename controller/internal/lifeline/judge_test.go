package lifeline

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

func host(name string, stops, interrupts []string) v1alpha1.Domain {
	return v1alpha1.Domain{TopologyKey: corev1.LabelHostname, Name: name, Stops: stops, Interrupts: interrupts}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		build       func() *world
		wantReason  string
		wantMessage string
		wantWeakest *v1alpha1.Domain
		wantDomains []v1alpha1.Domain
	}{
		"spread standbys survive": {
			build: func() *world {
				w := newWorld("a", "b", "c")
				w.deployment("kustomize-controller", 2, "a", "b")
				return w
			},
			wantReason:  v1alpha1.ReasonSurvives,
			wantMessage: "1 member outlives the loss of any one of 2 domains",
			wantDomains: []v1alpha1.Domain{host("a", nil, nil), host("b", nil, nil)},
		},
		"stacked standbys are stopped": {
			build: func() *world {
				w := newWorld("a", "b")
				w.deployment("kustomize-controller", 2, "a", "a")
				w.deployment("helm-controller", 2, "a", "b")
				return w
			},
			wantReason:  v1alpha1.ReasonDomainLossStops,
			wantMessage: "the loss of a (kubernetes.io/hostname) stops kustomize-controller",
			wantWeakest: new(host("a", []string{"kustomize-controller"}, nil)),
			wantDomains: []v1alpha1.Domain{host("a", []string{"kustomize-controller"}, nil), host("b", nil, nil)},
		},
		"a singleton with room elsewhere is interrupted only": {
			build: func() *world {
				w := newWorld("a", "b")
				w.deployment("source-controller", 1, "b")
				w.deployment("kustomize-controller", 2, "a", "b")
				return w
			},
			wantReason:  v1alpha1.ReasonSurvives,
			wantMessage: "2 members outlive the loss of any one of 2 domains; the loss of b (kubernetes.io/hostname) interrupts source-controller",
			wantDomains: []v1alpha1.Domain{host("b", nil, []string{"source-controller"}), host("a", nil, nil)},
		},
		"a shard of a singleton that holds a lease is interrupted only": {
			build: func() *world {
				w := newWorld("a", "b")
				w.deployment("source-controller-shard1", 1, "b")
				w.lease(ns, "source-controller-shard1-leader-election", "source-controller-shard1-0_x", 0)
				return w
			},
			wantReason:  v1alpha1.ReasonSurvives,
			wantMessage: "1 member outlives the loss of any one of 1 domains; the loss of b (kubernetes.io/hostname) interrupts source-controller-shard1",
			wantDomains: []v1alpha1.Domain{host("b", nil, []string{"source-controller-shard1"})},
		},
		"a shard of a standby with one replica is stopped": {
			build: func() *world {
				w := newWorld("a", "b")
				w.deployment("kustomize-controller-shard1", 1, "b")
				return w
			},
			wantReason:  v1alpha1.ReasonDomainLossStops,
			wantMessage: "the loss of b (kubernetes.io/hostname) stops kustomize-controller-shard1",
			wantWeakest: new(host("b", []string{"kustomize-controller-shard1"}, nil)),
			wantDomains: []v1alpha1.Domain{host("b", []string{"kustomize-controller-shard1"}, nil)},
		},
		"a singleton with a claim is stopped": {
			build: func() *world {
				w := newWorld("a", "b")
				w.deployment("source-controller", 1, "b")
				w.getPod("source-controller-0").Spec.Volumes = []corev1.Volume{claimVolume()}
				return w
			},
			wantReason:  v1alpha1.ReasonDomainLossStops,
			wantMessage: "the loss of b (kubernetes.io/hostname) stops source-controller",
			wantWeakest: new(host("b", []string{"source-controller"}, nil)),
			wantDomains: []v1alpha1.Domain{host("b", []string{"source-controller"}, nil)},
		},
		"a singleton of a StatefulSet with claim templates is stopped": {
			build: func() *world {
				w := newWorld("a", "b")
				w.statefulSet("source-controller", 1, "b").Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{}}
				return w
			},
			wantReason:  v1alpha1.ReasonDomainLossStops,
			wantMessage: "the loss of b (kubernetes.io/hostname) stops source-controller",
			wantWeakest: new(host("b", []string{"source-controller"}, nil)),
			wantDomains: []v1alpha1.Domain{host("b", []string{"source-controller"}, nil)},
		},
		"a singleton that only a tainted node could take is stopped": {
			build: func() *world {
				w := newWorld("a", "b")
				w.deployment("source-controller", 1, "b")
				w.getNode("a").Spec.Taints = []corev1.Taint{{Key: "gpu", Effect: corev1.TaintEffectNoSchedule}}
				return w
			},
			wantReason:  v1alpha1.ReasonDomainLossStops,
			wantMessage: "the loss of b (kubernetes.io/hostname) stops source-controller",
			wantWeakest: new(host("b", []string{"source-controller"}, nil)),
			wantDomains: []v1alpha1.Domain{host("b", []string{"source-controller"}, nil)},
		},
		"a singleton that two replicas run of is interrupted": {
			build: func() *world {
				w := newWorld("a", "b")
				w.deployment("source-controller", 2, "a", "b")
				w.getPod("source-controller-0").Spec.Volumes = []corev1.Volume{claimVolume()}
				return w
			},
			wantReason:  v1alpha1.ReasonSurvives,
			wantMessage: "1 member outlives the loss of any one of 2 domains; the loss of a (kubernetes.io/hostname) interrupts source-controller",
			wantDomains: []v1alpha1.Domain{host("a", nil, []string{"source-controller"}), host("b", nil, []string{"source-controller"})},
		},
		"a single replica is stopped by its node": {
			build: func() *world {
				w := newWorld("a", "b")
				w.deployment("coredns", 1, "b")
				return w
			},
			wantReason:  v1alpha1.ReasonDomainLossStops,
			wantMessage: "the loss of b (kubernetes.io/hostname) stops coredns",
			wantWeakest: new(host("b", []string{"coredns"}, nil)),
			wantDomains: []v1alpha1.Domain{host("b", []string{"coredns"}, nil)},
		},
		"a pod that is not ready, terminating or on a silent node does not count": {
			build: func() *world {
				w := newWorld("a", "b", "c", "d", "e")
				w.deployment("kustomize-controller", 4, "a", "b", "c", "d")
				setReady(w.getPod("kustomize-controller-1"), corev1.ConditionFalse)
				w.getPod("kustomize-controller-2").DeletionTimestamp = &metav1.Time{Time: epoch()}
				setNodeReady(w.getNode("d"), corev1.ConditionUnknown)
				return w
			},
			wantReason:  v1alpha1.ReasonDomainLossStops,
			wantMessage: "the loss of a (kubernetes.io/hostname) stops kustomize-controller",
			wantWeakest: new(host("a", []string{"kustomize-controller"}, nil)),
			wantDomains: []v1alpha1.Domain{host("a", []string{"kustomize-controller"}, nil)},
		},
		"a pod on a node that is gone does not count": {
			build: func() *world {
				w := newWorld("a", "b")
				w.deployment("kustomize-controller", 2, "a", "gone")
				return w
			},
			wantReason:  v1alpha1.ReasonDomainLossStops,
			wantMessage: "the loss of a (kubernetes.io/hostname) stops kustomize-controller",
			wantWeakest: new(host("a", []string{"kustomize-controller"}, nil)),
			wantDomains: []v1alpha1.Domain{host("a", []string{"kustomize-controller"}, nil)},
		},
		"pods of an earlier revision count": {
			build: func() *world {
				w := newWorld("a", "b")
				d := w.deployment("kustomize-controller", 2, "a")
				w.replicaSet("old-rs", d)
				w.pod("old-0", "old-rs", "kustomize-controller", "b", epoch())
				return w
			},
			wantReason:  v1alpha1.ReasonSurvives,
			wantMessage: "1 member outlives the loss of any one of 2 domains",
			wantDomains: []v1alpha1.Domain{host("a", nil, nil), host("b", nil, nil)},
		},
		"pods of an orphaned ReplicaSet that will be adopted count": {
			build: func() *world {
				w := newWorld("a", "b")
				w.deployment("kustomize-controller", 2, "a")
				w.replicaSet("orphan-rs", nil).Labels = map[string]string{"app": "kustomize-controller"}
				w.pod("orphan-0", "orphan-rs", "kustomize-controller", "b", epoch())
				return w
			},
			wantReason:  v1alpha1.ReasonSurvives,
			wantMessage: "1 member outlives the loss of any one of 2 domains",
			wantDomains: []v1alpha1.Domain{host("a", nil, nil), host("b", nil, nil)},
		},
		"pods that nobody or somebody else owns do not count": {
			build: func() *world {
				w := newWorld("a", "b")
				w.deployment("kustomize-controller", 2, "a")
				w.pod("bare", "x", "kustomize-controller", "b", epoch()).OwnerReferences = nil
				w.pod("alien", "other-rs", "kustomize-controller", "b", epoch())
				w.pod("abroad", "kustomize-controller-rs", "kustomize-controller", "b", epoch()).Namespace = "other"
				return w
			},
			wantReason:  v1alpha1.ReasonDomainLossStops,
			wantMessage: "the loss of a (kubernetes.io/hostname) stops kustomize-controller",
			wantWeakest: new(host("a", []string{"kustomize-controller"}, nil)),
			wantDomains: []v1alpha1.Domain{host("a", []string{"kustomize-controller"}, nil)},
		},
		"the worst of several domains is the weakest": {
			build: func() *world {
				w := newWorld("a", "b", "c")
				w.deployment("source-controller", 1, "a")
				w.deployment("one", 1, "a")
				w.deployment("two", 2, "b", "b")
				w.deployment("three", 1, "c")
				w.deployment("four", 1, "c")
				return w
			},
			wantReason:  v1alpha1.ReasonDomainLossStops,
			wantMessage: "the loss of c (kubernetes.io/hostname) stops four, three",
			wantWeakest: new(host("c", []string{"four", "three"}, nil)),
			wantDomains: []v1alpha1.Domain{
				host("c", []string{"four", "three"}, nil),
				host("a", []string{"one"}, []string{"source-controller"}),
				host("b", []string{"two"}, nil),
			},
		},
		"every topology key is judged, and an unlabelled node is in no domain of a key": {
			build: func() *world {
				w := newWorld()
				w.Lifeline.Spec.TopologyKeys = []string{corev1.LabelHostname, zone}
				w.node("a", zone, "z1")
				w.node("b", zone, "z1")
				w.node("c", zone, "z2")
				w.node("d")
				w.deployment("kustomize-controller", 2, "a", "b")
				w.deployment("helm-controller", 2, "a", "d")
				return w
			},
			wantReason:  v1alpha1.ReasonDomainLossStops,
			wantMessage: "the loss of z1 (topology.kubernetes.io/zone) stops kustomize-controller",
			wantWeakest: &v1alpha1.Domain{TopologyKey: zone, Name: "z1", Stops: []string{"kustomize-controller"}},
			wantDomains: []v1alpha1.Domain{
				{TopologyKey: zone, Name: "z1", Stops: []string{"kustomize-controller"}},
				host("a", nil, nil), host("b", nil, nil), host("d", nil, nil),
			},
		},
		"one node only": {
			build: func() *world {
				w := newWorld("a")
				w.deployment("source-controller", 1, "a")
				return w
			},
			wantReason:  v1alpha1.ReasonDomainLossStops,
			wantMessage: "the loss of a (kubernetes.io/hostname) stops source-controller; one domain only: a is the only Ready one of kubernetes.io/hostname",
			wantWeakest: new(host("a", []string{"source-controller"}, nil)),
			wantDomains: []v1alpha1.Domain{host("a", []string{"source-controller"}, nil)},
		},
		"a topology key that no node has": {
			build: func() *world {
				w := newWorld("a", "b")
				w.Lifeline.Spec.TopologyKeys = []string{zone}
				w.deployment("kustomize-controller", 2, "a", "b")
				return w
			},
			wantReason:  v1alpha1.ReasonDomainLossStops,
			wantMessage: "no Ready node has the label topology.kubernetes.io/zone",
		},
		"what runs on one unlabelled node does not survive": {
			build: func() *world {
				w := newWorld("a", "d")
				w.Lifeline.Spec.TopologyKeys = []string{zone}
				w.node("b", zone, "z1")
				w.node("c", zone, "z2")
				w.deployment("helm-controller", 1, "a")
				w.deployment("kustomize-controller", 2, "d", "d")
				w.deployment("source-controller", 1, "d")
				return w
			},
			wantReason:  v1alpha1.ReasonDomainLossStops,
			wantMessage: "helm-controller, kustomize-controller run on one node only each, which has none of the labels of spec.topologyKeys",
		},
		"a replica on a labelled node beside one on an unlabelled node": {
			build: func() *world {
				w := newWorld("a")
				w.Lifeline.Spec.TopologyKeys = []string{zone}
				w.node("b", zone, "z1")
				w.node("c", zone, "z2")
				w.deployment("kustomize-controller", 2, "a", "b")
				return w
			},
			wantReason:  v1alpha1.ReasonSurvives,
			wantMessage: "1 member outlives the loss of any one of 1 domains",
			wantDomains: []v1alpha1.Domain{{TopologyKey: zone, Name: "z1"}},
		},
		"replicas on unlabelled nodes survive any domain of the key": {
			build: func() *world {
				w := newWorld("a", "d")
				w.Lifeline.Spec.TopologyKeys = []string{zone}
				w.node("b", zone, "z1")
				w.node("c", zone, "z2")
				w.deployment("kustomize-controller", 2, "a", "d")
				return w
			},
			wantReason:  v1alpha1.ReasonSurvives,
			wantMessage: "1 member outlives the loss of any one of 0 domains",
		},
		"no topology key means hosts": {
			build: func() *world {
				w := newWorld("a", "b")
				w.Lifeline.Spec.TopologyKeys = nil
				w.deployment("kustomize-controller", 2, "a", "b")
				return w
			},
			wantReason:  v1alpha1.ReasonSurvives,
			wantMessage: "1 member outlives the loss of any one of 2 domains",
			wantDomains: []v1alpha1.Domain{host("a", nil, nil), host("b", nil, nil)},
		},
		"a member that is down is named and no domain is blamed": {
			build: func() *world {
				w := newWorld("a", "b")
				w.deployment("source-controller", 1, "a")
				setReady(w.getPod("source-controller-0"), corev1.ConditionFalse)
				w.deployment("kustomize-controller", 2, "a", "b")
				return w
			},
			wantReason:  v1alpha1.ReasonMemberNotReady,
			wantMessage: "source-controller has no ready replica",
			wantDomains: []v1alpha1.Domain{host("a", nil, nil), host("b", nil, nil)},
		},
		"scaled to zero comes first and everything is said": {
			build: func() *world {
				w := newWorld("a", "b")
				w.deployment("helm-controller", 0)
				w.deployment("notification-controller", 0)
				w.deployment("source-controller", 1)
				w.deployment("kustomize-controller", 2, "a", "a")
				return w
			},
			wantReason: v1alpha1.ReasonMemberScaledToZero,
			wantMessage: "helm-controller, notification-controller are scaled to zero; source-controller has no ready replica; " +
				"the loss of a (kubernetes.io/hostname) stops kustomize-controller",
			wantWeakest: new(host("a", []string{"kustomize-controller"}, nil)),
			wantDomains: []v1alpha1.Domain{host("a", []string{"kustomize-controller"}, nil)},
		},
		"nothing selected": {
			build: func() *world {
				w := newWorld("a", "b")
				w.deployment("other", 2, "a", "b").Labels = nil
				w.deployment("abroad", 2, "a", "b").Namespace = "other"
				return w
			},
			wantReason:  v1alpha1.ReasonNoMembers,
			wantMessage: "spec.selector matches no Deployment or StatefulSet in namespace flux-system",
		},
		"a selector that cannot be used": {
			build: func() *world {
				w := newWorld("a", "b")
				w.Lifeline.Spec.Selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "x", Operator: "Near"}}
				return w
			},
			wantReason:  v1alpha1.ReasonInvalidSpec,
			wantMessage: `spec.selector: "Near" is not a valid label selector operator`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := Judge(tt.build().Snapshot)
			want := Verdict{
				Survives: tt.wantReason == v1alpha1.ReasonSurvives,
				Reason:   tt.wantReason,
				Message:  tt.wantMessage,
				Weakest:  tt.wantWeakest,
				Domains:  tt.wantDomains,
				Members:  got.Members,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Judge() differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestJudgeListsMembers(t *testing.T) {
	t.Parallel()
	w := newWorld("a", "b")
	w.statefulSet("db", 3, "b", "a")
	w.deployment("web", 2, "b", "a").Spec.Replicas = nil
	w.deployment("kustomize-controller", 2, "b", "a")
	setReady(w.getPod("kustomize-controller-1"), corev1.ConditionFalse)
	w.lease(ns, "kustomize-controller-leader-election", "kustomize-controller-0_0b1c", 0)

	want := []v1alpha1.Member{
		{
			Kind: "Deployment", Name: "kustomize-controller", Profile: v1alpha1.ProfileStandby, Desired: 2, Ready: 1,
			Nodes: []string{"b"},
			Leader: &v1alpha1.Leader{
				Pod: "kustomize-controller-0", Node: "b", Lease: "kustomize-controller-leader-election",
			},
		},
		{Kind: "Deployment", Name: "web", Profile: v1alpha1.ProfileActiveActive, Desired: 1, Ready: 2, Nodes: []string{"a", "b"}},
		{Kind: "StatefulSet", Name: "db", Profile: v1alpha1.ProfileActiveActive, Desired: 3, Ready: 2, Nodes: []string{"a", "b"}},
	}
	if diff := cmp.Diff(want, Judge(w.Snapshot).Members); diff != "" {
		t.Errorf("Members differ (-want +got):\n%s", diff)
	}
}

func TestJudgeIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for i := range 70 {
		node := fmt.Sprintf("n%02d", i)
		w.node(node)
		w.deployment(fmt.Sprintf("m%02d", i), 1, node)
		w.deployment(fmt.Sprintf("x%02d", i), 1, "n07")
	}
	w.deployment("a-wide-one", 100, slices.Repeat([]string{"n00", "n01"}, 50)...)
	v := Judge(w.Snapshot)
	if len(v.Domains) != v1alpha1.MaxDomains || v.DomainsLeftOut != 50 {
		t.Errorf("%d domains and %d left out, want %d and 50", len(v.Domains), v.DomainsLeftOut, v1alpha1.MaxDomains)
	}
	if len(v.Members) != v1alpha1.MaxMembers || v.MembersLeftOut != 77 {
		t.Errorf("%d members and %d left out, want %d and 77", len(v.Members), v.MembersLeftOut, v1alpha1.MaxMembers)
	}
	if v.Weakest.Name != "n07" || len(v.Weakest.Stops) != v1alpha1.MaxMembers {
		t.Errorf("weakest is %s with %d stops, want n07 with %d", v.Weakest.Name, len(v.Weakest.Stops), v1alpha1.MaxMembers)
	}
	for _, m := range v.Members {
		if len(m.Nodes) > v1alpha1.MaxNodes {
			t.Errorf("%s lists %d nodes, want %d at most", m.Name, len(m.Nodes), v1alpha1.MaxNodes)
		}
	}
	if m := v.Members[0]; m.Ready != 100 || len(m.Nodes) != v1alpha1.MaxNodes || v.NodesLeftOut != 1 {
		t.Errorf("%s has %d ready replicas and lists %d nodes, %d members are cut; want 100, %d and 1", m.Name, m.Ready, len(m.Nodes), v.NodesLeftOut, v1alpha1.MaxNodes)
	}
	if want := "stops m07, x00, x01, x02, x03 and 59 more"; !strings.HasSuffix(v.Message, want) {
		t.Errorf("message %q does not end with %q", v.Message, want)
	}
}

func TestJudgeCountsNoCordonedNodeAsRoom(t *testing.T) {
	t.Parallel()
	tests := map[string]func(w *world, d *appsv1.Deployment){
		"cordoned":  func(w *world, _ *appsv1.Deployment) { w.getNode("b").Spec.Unschedulable = true },
		"going":     func(w *world, _ *appsv1.Deployment) { w.getNode("b").DeletionTimestamp = &metav1.Time{Time: epoch()} },
		"not Ready": func(w *world, _ *appsv1.Deployment) { w.getNode("b").Status.Conditions = nil },
		"no label": func(_ *world, d *appsv1.Deployment) {
			d.Spec.Template.Spec.NodeSelector = map[string]string{"disk": "ssd"}
		},
		"pinned node": func(_ *world, d *appsv1.Deployment) { d.Spec.Template.Spec.NodeName = "a" },
		"unreadable affinity": func(_ *world, d *appsv1.Deployment) {
			d.Spec.Template.Spec.Affinity = requireNode("disk", "Near")
		},
		"ephemeral claim": func(_ *world, d *appsv1.Deployment) {
			d.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "x", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}}}
		},
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld("a", "b")
			d := w.deployment("source-controller", 1, "a")
			if v := Judge(w.Snapshot); v.Weakest != nil {
				t.Fatalf("stopped before: %s", v.Message)
			}
			spoil(w, d)
			v := Judge(w.Snapshot)
			if want := new(host("a", []string{"source-controller"}, nil)); !cmp.Equal(want, v.Weakest) {
				t.Errorf("Weakest differs (-want +got):\n%s", cmp.Diff(want, v.Weakest))
			}
		})
	}
}

func requireNode(key string, operator corev1.NodeSelectorOperator, values ...string) *corev1.Affinity {
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: operator, Values: values}},
		}}},
	}}
}

func TestVerdictApply(t *testing.T) {
	t.Parallel()
	w := newWorld("a", "b")
	w.deployment("kustomize-controller", 2, "a", "a")
	v := Judge(w.Snapshot)
	status := v1alpha1.LifelineStatus{ObservedGeneration: 7, Lagging: []v1alpha1.LaggingConsumer{{Name: "x"}}}
	v.Apply(&status)

	no := false
	want := v1alpha1.LifelineStatus{
		ObservedGeneration: 7,
		Survives:           &no,
		Weakest:            v.Weakest,
		Domains:            v.Domains,
		Members:            v.Members,
		Lagging:            []v1alpha1.LaggingConsumer{{Name: "x"}},
	}
	if diff := cmp.Diff(want, status); diff != "" {
		t.Errorf("status differs (-want +got):\n%s", diff)
	}
}

package check

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mainstay-dev/mainstay/controller/internal/lifeline"
)

// assume adds to a snapshot the workers, each in a domain of its own, and the
// pods that the workloads would have on them: apart where something keeps them
// apart, else all on one worker, which is what nothing forbids the scheduler.
// A workload's node selector and node affinity are taken to be met by every
// worker.
func assume(s *lifeline.Snapshot, work []*workload, key string, workers int) {
	for i := range workers {
		s.Nodes = append(s.Nodes, worker(i, key))
	}
	for _, w := range work {
		if w.GetNamespace() != s.Lifeline.Namespace {
			continue
		}
		uid := types.UID(w.id())
		owner := metav1.OwnerReference{Kind: w.GetKind(), Name: w.GetName(), UID: uid, Controller: new(true)}
		if w.deployment != nil {
			d := w.deployment.DeepCopy()
			d.UID = uid
			everywhere(&d.Spec.Template.Spec)
			s.Deployments = append(s.Deployments, d)
			set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
				Namespace: d.Namespace, Name: d.Name, UID: uid + "/set", OwnerReferences: []metav1.OwnerReference{owner},
			}}
			s.ReplicaSets = append(s.ReplicaSets, set)
			owner = metav1.OwnerReference{Kind: "ReplicaSet", Name: set.Name, UID: set.UID, Controller: new(true)}
		} else {
			set := w.set.DeepCopy()
			set.UID = uid
			everywhere(&set.Spec.Template.Spec)
			s.StatefulSets = append(s.StatefulSets, set)
		}
		apart, hard := keptApart(w, work, key)
		for i := range min(int(w.replicas), maxReplicas) {
			on := 0
			if apart {
				on = i % workers
			}
			if hard && i >= workers {
				break
			}
			s.Pods = append(s.Pods, pod(w, i, owner, s.Nodes[on].Name))
		}
	}
}

// maxReplicas bounds the pods that are made of one workload: no more of them
// change what a loss stops.
const maxReplicas = 100

func worker(i int, key string) *corev1.Node {
	name := fmt.Sprintf("worker-%d", i+1)
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name, key: name}},
		Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}},
	}
}

func pod(w *workload, i int, owner metav1.OwnerReference, node string) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.GetNamespace(), Name: fmt.Sprintf("%s-%d", w.GetName(), i),
			Labels: w.template.Labels, OwnerReferences: []metav1.OwnerReference{owner},
		},
		Spec:   *w.template.Spec.DeepCopy(),
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
	p.Spec.NodeName = node
	return p
}

// everywhere drops what would tie a pod to labels that assumed workers lack.
func everywhere(spec *corev1.PodSpec) {
	spec.NodeSelector = nil
	if spec.Affinity != nil {
		spec.Affinity.NodeAffinity = nil
	}
}

// keptApart says whether something keeps the replicas of a workload in different
// domains, and whether it keeps them Pending where there are too few. What
// prefers distance from the pods of others, too, may put two of its own together.
func keptApart(w *workload, work []*workload, key string) (apart, hard bool) {
	if affinity := w.template.Spec.Affinity; affinity != nil && affinity.PodAntiAffinity != nil {
		for _, t := range affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
			if parts(t.TopologyKey, key) && selects(t.LabelSelector, w.template.Labels) {
				return true, true
			}
		}
		for _, t := range affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
			term := t.PodAffinityTerm
			if parts(term.TopologyKey, key) && ownOnly(w, work, term.LabelSelector, term.MatchLabelKeys) {
				apart = true
			}
		}
	}
	for _, c := range w.template.Spec.TopologySpreadConstraints {
		if parts(c.TopologyKey, key) && ownOnly(w, work, c.LabelSelector, c.MatchLabelKeys) {
			apart = true
		}
	}
	return apart, false
}

// parts says whether a constraint on a topology key keeps pods in different
// domains of another: pods in different zones are on different hosts.
func parts(constraint, key string) bool {
	return constraint == key || key == corev1.LabelHostname && constraint == corev1.LabelTopologyZone
}

// ownOnly says whether a selector, narrowed to the pods with the same values of
// some labels, is about the pods of the workload and of no other.
func ownOnly(w *workload, work []*workload, selector *metav1.LabelSelector, narrowed []string) bool {
	own := w.template.Labels
	if !selects(selector, own) {
		return false
	}
	return !slices.ContainsFunc(work, func(other *workload) bool {
		if other == w || other.GetNamespace() != w.GetNamespace() || !selects(selector, other.template.Labels) {
			return false
		}
		return !slices.ContainsFunc(narrowed, func(label string) bool {
			mine, has := own[label]
			theirs, have := other.template.Labels[label]
			// No two Deployments share a hash.
			return label == appsv1.DefaultDeploymentUniqueLabelKey || has && (!have || mine != theirs)
		})
	})
}

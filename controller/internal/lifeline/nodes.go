package lifeline

import (
	"cmp"
	"slices"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

func nodeReady(node *corev1.Node) bool {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// placeableNodes are the Ready nodes that are neither cordoned nor going,
// sorted by name.
func placeableNodes(nodes []*corev1.Node) []*corev1.Node {
	var out []*corev1.Node
	for _, n := range nodes {
		if nodeReady(n) && !n.Spec.Unschedulable && n.DeletionTimestamp == nil {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b *corev1.Node) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// fits says whether a new pod of the member could be scheduled on a node as far
// as its node name, node selector, required node affinity and the node's taints
// go. Free capacity and constraints between pods are not looked at: a move that
// fails for them is found out by its assessment and not repeated.
func fits(m *member, node *corev1.Node) bool {
	spec := m.template.Spec
	if spec.NodeName != "" && spec.NodeName != node.Name {
		return false
	}
	pod := &corev1.Pod{ObjectMeta: m.template.ObjectMeta, Spec: spec}
	// An affinity that cannot be parsed matches no node for the scheduler
	// either.
	if ok, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(node); err != nil || !ok {
		return false
	}
	// The comparison operators of tolerations are off: a node that only they
	// open counts as closed, and at worst a move is not made.
	_, untolerated := schedulingv1.FindMatchingUntoleratedTaint(
		logr.Discard(), node.Spec.Taints, spec.Tolerations, repels, false)
	return !untolerated
}

// repels says whether a taint keeps a new pod away that does not tolerate it.
func repels(t *corev1.Taint) bool {
	return t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute
}

// pinned says whether the member's pods have storage that may not follow them.
func pinned(m *member) bool {
	return m.claims || hasClaim(&m.template.Spec) ||
		slices.ContainsFunc(m.pods, func(p *corev1.Pod) bool { return hasClaim(&p.Spec) })
}

// hasClaim says whether a pod mounts a PersistentVolumeClaim, its own
// (a generic ephemeral volume) or another's.
func hasClaim(spec *corev1.PodSpec) bool {
	return slices.ContainsFunc(spec.Volumes, func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil || v.Ephemeral != nil
	})
}

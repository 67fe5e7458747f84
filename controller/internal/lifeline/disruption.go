package lifeline

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// disruptionBlock says why the Eviction API would refuse to evict a ready pod;
// empty when it would not.
func disruptionBlock(pod *corev1.Pod, pdbs []*policyv1.PodDisruptionBudget) string {
	var over []*policyv1.PodDisruptionBudget
	for _, pdb := range pdbs {
		if pdb.Namespace != pod.Namespace {
			continue
		}
		// A nil selector selects nothing and an empty one everything. One that
		// cannot be parsed is skipped by the Eviction API too.
		selector, err := metav1.LabelSelectorAsSelector(pdb.Spec.Selector)
		if err == nil && selector.Matches(labels.Set(pod.Labels)) {
			over = append(over, pdb)
		}
	}
	slices.SortFunc(over, func(a, b *policyv1.PodDisruptionBudget) int { return cmp.Compare(a.Name, b.Name) })

	switch {
	case len(over) == 0:
		return ""
	case len(over) > 1:
		return fmt.Sprintf("the PodDisruptionBudgets %s and %s both select it, and the API server answers every eviction of such a pod with an error",
			over[0].Name, over[1].Name)
	case over[0].Status.ObservedGeneration < over[0].Generation:
		return fmt.Sprintf("the PodDisruptionBudget %s has not been observed by its controller", over[0].Name)
	case over[0].Status.DisruptionsAllowed <= 0:
		return fmt.Sprintf("the PodDisruptionBudget %s allows no disruption", over[0].Name)
	default:
		return ""
	}
}

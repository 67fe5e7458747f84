package check

import (
	"fmt"
	"slices"
	"strings"

	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// budgets judges the PodDisruptionBudgets over each workload: one that never
// lets a pod go keeps every node that holds one from being drained, and with two
// over a pod every eviction fails. What a rule has said already is not said
// again.
func (r *run) budgets(work []*workload) {
	for _, w := range work {
		if r.budgeted[w.id()] {
			continue
		}
		over := covering(r.pdbs, w)
		if len(over) > 1 {
			names := make([]string, 0, len(over))
			for _, pdb := range over {
				names = append(names, pdb.Name)
			}
			slices.Sort(names)
			r.of(w.object, below("/spec/template/metadata/labels"), Finding{
				Check: BudgetsOverlap, Severity: v1alpha1.SeverityHigh,
				Message: fmt.Sprintf("the PodDisruptionBudgets %s select the same pods: every eviction of a pod with more than one fails, so no worker that holds one can be drained; keep one of them", strings.Join(names, ", ")),
			})
			continue
		}
		if len(over) == 1 && w.replicas > 0 && !w.autoscaled {
			r.blocking(w, over[0], work)
		}
	}
}

func covering(pdbs []*policyv1.PodDisruptionBudget, w *workload) []*policyv1.PodDisruptionBudget {
	var over []*policyv1.PodDisruptionBudget
	for _, pdb := range pdbs {
		if pdb.Namespace == w.GetNamespace() && selects(pdb.Spec.Selector, w.template.Labels) {
			over = append(over, pdb)
		}
	}
	return over
}

// blocking reports a budget that allows no eviction while every pod is healthy.
func (r *run) blocking(w *workload, pdb *policyv1.PodDisruptionBudget, work []*workload) {
	pods := 0
	for _, other := range work {
		if other.GetNamespace() != pdb.Namespace || !selects(pdb.Spec.Selector, other.template.Labels) {
			continue
		}
		if other.autoscaled {
			return
		}
		pods += int(other.replicas)
	}
	says, allowed := "neither minAvailable nor maxUnavailable", 0
	switch {
	case pdb.Spec.MaxUnavailable != nil:
		says = "maxUnavailable " + pdb.Spec.MaxUnavailable.String()
		allowed = scaled(pdb.Spec.MaxUnavailable, pods)
	case pdb.Spec.MinAvailable != nil:
		says = "minAvailable " + pdb.Spec.MinAvailable.String()
		allowed = pods - scaled(pdb.Spec.MinAvailable, pods)
	}
	if allowed > 0 {
		return
	}
	r.of(w.object, below("/spec/replicas"), Finding{
		Check: BudgetBlocksDrain, Severity: v1alpha1.SeverityMedium,
		Message: fmt.Sprintf("the PodDisruptionBudget %s (%s over %d %s) never lets a pod be evicted, so no worker that holds one can be drained: set maxUnavailable to 1 in its place",
			pdb.Name, says, pods, plural(pods, "pod", "pods")),
	})
}

// scaled is a number of pods; both percentages of a budget round up.
func scaled(of *intstr.IntOrString, pods int) int {
	n, err := intstr.GetScaledValueFromIntOrPercent(of, pods, true)
	if err != nil {
		return 0
	}
	return n
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

package lifeline

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

const (
	// budgetWindow is what spec.heal.maxEvictionsPerHour is counted over.
	budgetWindow = time.Hour

	// defaultBudget is the schema's default, for a Lifeline that did not pass
	// through the API server's defaulting.
	defaultBudget = 12

	// failedWait is the wait after a first failed eviction; it doubles with
	// each further one up to failedWaitMax.
	failedWait    = 30 * time.Second
	failedWaitMax = 10 * time.Minute
)

// record is what was done for one Lifeline, oldest first.
type record []*v1alpha1.Intervention

// recordOf selects the Interventions of a Lifeline by its UID, so that one of
// the same name that was deleted leaves no debts.
func recordOf(l *v1alpha1.Lifeline, all []*v1alpha1.Intervention) record {
	var out record
	for _, iv := range all {
		if iv.Spec.Owner.Kind == "Lifeline" && iv.Spec.Owner.UID == l.UID {
			out = append(out, iv)
		}
	}
	slices.SortFunc(out, func(a, b *v1alpha1.Intervention) int {
		return cmp.Or(
			a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
			cmp.Compare(a.Name, b.Name))
	})
	return out
}

// pending is the oldest Intervention whose result is awaited: claimed and not
// final, or done and not assessed. Nil when there is none.
func (r record) pending() *v1alpha1.Intervention {
	for _, iv := range r {
		switch {
		case refused(iv), iv.Status.Phase == v1alpha1.PhaseFailed:
		case iv.Status.Phase == v1alpha1.PhaseDone && iv.Status.Verdict != "":
		default:
			return iv
		}
	}
	return nil
}

// refused says whether an Intervention is the record of a move that nobody makes.
// One whose maker ended before it could say so has the label all the same.
func refused(iv *v1alpha1.Intervention) bool {
	return iv.Status.Phase == v1alpha1.PhaseRefused || iv.Status.Phase == "" && iv.Labels[v1alpha1.LabelDryRun] == "true"
}

// about selects what was done to a workload on the same evidence.
func (r record) about(workload, evidence string) record {
	var out record
	for _, iv := range r {
		if iv.Spec.Target.Workload == workload && iv.Spec.Evidence == evidence {
			out = append(out, iv)
		}
	}
	return out
}

// futile is the latest Intervention that changed nothing in these surroundings;
// nil when there is none. One that does not say in which it was judged counts in
// all.
func (r record) futile(around string) *v1alpha1.Intervention {
	for _, iv := range slices.Backward(r) {
		judged := iv.Status.Evidence == "" || iv.Status.Evidence == around
		if judged && iv.Status.Verdict == v1alpha1.VerdictFutile {
			return iv
		}
	}
	return nil
}

// refused is the latest refused Intervention; nil when there is none.
func (r record) refused() *v1alpha1.Intervention {
	for _, iv := range slices.Backward(r) {
		if refused(iv) {
			return iv
		}
	}
	return nil
}

// failed is the latest Intervention if it failed, and how long to wait from now
// before another try. Nil when there is no reason to wait.
func (r record) failed(now time.Time) (*v1alpha1.Intervention, time.Duration) {
	var last *v1alpha1.Intervention
	wait := failedWait
	for _, iv := range slices.Backward(r) {
		if refused(iv) {
			continue
		}
		if iv.Status.Phase != v1alpha1.PhaseFailed {
			break
		}
		if last == nil {
			last = iv
		} else {
			wait = min(2*wait, failedWaitMax)
		}
	}
	if last == nil {
		return nil, 0
	}
	left := endOf(last).Add(wait).Sub(now)
	if left <= 0 {
		return nil, 0
	}
	return last, left
}

// endOf is when an Intervention became final, or was made where that is not
// known.
func endOf(iv *v1alpha1.Intervention) time.Time {
	if iv.Status.CompletedAt != nil {
		return iv.Status.CompletedAt.Time
	}
	return iv.CreationTimestamp.Time
}

// budget says how many Interventions of the last hour count against the limit
// and when the next may be made; zero time when it may be made now. Refused
// ones count in a dry run only: there they are what is bounded.
func (r record) budget(heal v1alpha1.Heal, dryRun bool, now time.Time) (spent int, frees time.Time) {
	limit := int(cmp.Or(heal.MaxEvictionsPerHour, defaultBudget))
	var made []time.Time
	for _, iv := range r {
		if refused(iv) && !dryRun {
			continue
		}
		if at := iv.CreationTimestamp.Time; at.Add(budgetWindow).After(now) {
			made = append(made, at)
		}
	}
	if len(made) < limit {
		return len(made), time.Time{}
	}
	return len(made), made[len(made)-limit].Add(budgetWindow)
}

// nextAttempt numbers the next claim on a pod.
func (r record) nextAttempt(uid types.UID) int32 {
	var highest int32
	for _, iv := range r {
		if iv.Spec.Target.UID == uid {
			highest = max(highest, iv.Spec.Attempt)
		}
	}
	return highest + 1
}

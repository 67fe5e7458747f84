package lifeline

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/lifeline"
	"github.com/mainstay-dev/mainstay/controller/internal/status"
)

// report writes the status, the metrics, and an Event where a condition
// turned. It returns when the next consumer would count as lagging.
func (r *Reconciler) report(ctx context.Context, l *v1alpha1.Lifeline, verdict lifeline.Verdict, decision lifeline.Decision) (time.Duration, error) {
	want := l.Status.DeepCopy()
	want.ObservedGeneration = l.Generation
	verdict.Apply(want)

	set := func(kind string, is metav1.ConditionStatus, reason, message string) {
		meta.SetStatusCondition(&want.Conditions, metav1.Condition{
			Type: kind, Status: is, Reason: reason, Message: status.Truncate(message), ObservedGeneration: l.Generation,
		})
	}
	if verdict.Reason == v1alpha1.ReasonInvalidSpec {
		set(v1alpha1.ConditionReady, metav1.ConditionFalse, verdict.Reason, verdict.Message)
		set(v1alpha1.ConditionStalled, metav1.ConditionTrue, verdict.Reason, verdict.Message)
	} else {
		// A Lifeline that would not survive is a finding, not a fault of the
		// object: a Flux health check must not fail over it.
		set(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded, judged(verdict))
		meta.RemoveStatusCondition(&want.Conditions, v1alpha1.ConditionStalled)
	}
	set(v1alpha1.ConditionSurvivable, conditionStatus(verdict.Survives), verdict.Reason, verdict.Message)
	set(v1alpha1.ConditionHealing, conditionStatus(decision.Reason == v1alpha1.ReasonRebalancing), decision.Reason, decision.Message)
	wait, lagging := r.reportLag(l, want, set)

	r.measure(l, want)
	at := client.ObjectKeyFromObject(l)
	if r.conflicts[at].holds(l, want, r.clock.Now()) {
		return wait, nil
	}
	written, err := r.statuses.Write(ctx, l, &l.Status, want)
	if err != nil {
		return wait, err
	}
	delete(r.conflicts, at)
	switch written {
	case status.Written:
		r.announce(l, want)
		for list, cut := range map[string]bool{
			"members": verdict.MembersLeftOut+verdict.NodesLeftOut > 0, "domains": verdict.DomainsLeftOut > 0, "lagging": lagging > v1alpha1.MaxLagging,
		} {
			if cut {
				r.metrics.Truncations.WithLabelValues(list).Inc()
			}
		}
	case status.Conflict:
		r.conflicts[at] = conflict{uid: l.UID, want: timeless(want), until: r.clock.Now().Add(conflictPause)}
	case status.Unchanged, status.Gone:
	}
	return wait, nil
}

// conflict is a status that another field manager did not let pass.
type conflict struct {
	uid   types.UID
	want  *v1alpha1.LifelineStatus
	until time.Time
}

// holds says whether the same status of the same object is not to be written yet.
func (c conflict) holds(l *v1alpha1.Lifeline, want *v1alpha1.LifelineStatus, now time.Time) bool {
	return c.uid == l.UID && now.Before(c.until) && equality.Semantic.DeepEqual(c.want, timeless(want))
}

// timeless is a status without the times at which its conditions turned: while it
// cannot be written they turn anew at each look.
func timeless(s *v1alpha1.LifelineStatus) *v1alpha1.LifelineStatus {
	out := s.DeepCopy()
	for i := range out.Conditions {
		out.Conditions[i].LastTransitionTime = metav1.Time{}
	}
	return out
}

// judged says how many members were, and which of them are not listed.
func judged(v lifeline.Verdict) string {
	message := "judged " + plural(len(v.Members)+v.MembersLeftOut, "member")
	if v.MembersLeftOut > 0 {
		message += fmt.Sprintf("; the first %d are listed", len(v.Members))
	}
	if v.NodesLeftOut > 0 {
		message += fmt.Sprintf("; of %s with more than %d replicas the first %d nodes are listed",
			plural(v.NodesLeftOut, "member"), v1alpha1.MaxNodes, v1alpha1.MaxNodes)
	}
	return message
}

// reportLag fills in the lag. It returns when the next consumer would count, and
// how many do, with those that the status has no room for.
func (r *Reconciler) reportLag(l *v1alpha1.Lifeline, want *v1alpha1.LifelineStatus, set func(string, metav1.ConditionStatus, string, string)) (time.Duration, int) {
	if l.Spec.Lag == nil {
		want.Lagging = nil
		r.metrics.LifelineLagging.DeleteLabelValues(l.Namespace, l.Name)
		r.metrics.LifelineLagKnown.DeleteLabelValues(l.Namespace, l.Name)
		meta.RemoveStatusCondition(&want.Conditions, v1alpha1.ConditionAlive)
		return 0, 0
	}
	if reason, message := r.unseen(); reason != "" {
		r.metrics.LifelineLagKnown.WithLabelValues(l.Namespace, l.Name).Set(0)
		if reason == v1alpha1.ReasonSyncing && meta.FindStatusCondition(want.Conditions, v1alpha1.ConditionAlive) != nil {
			return 0, 0 // a start of the program is no news about Flux
		}
		r.metrics.LifelineLagging.DeleteLabelValues(l.Namespace, l.Name)
		set(v1alpha1.ConditionAlive, metav1.ConditionUnknown, reason, message)
		return 0, 0
	}
	now := r.clock.Now()
	lagging, next := r.lagging(l, now)
	total := len(lagging)
	if total > v1alpha1.MaxLagging {
		lagging = lagging[:v1alpha1.MaxLagging]
	}
	want.Lagging = lagging
	r.metrics.LifelineLagging.WithLabelValues(l.Namespace, l.Name).Set(float64(total))
	r.metrics.LifelineLagKnown.WithLabelValues(l.Namespace, l.Name).Set(1)
	if total == 0 {
		set(v1alpha1.ConditionAlive, metav1.ConditionTrue, v1alpha1.ReasonFollowing, "every consumer follows its source")
	} else {
		first := lagging[0]
		set(v1alpha1.ConditionAlive, metav1.ConditionFalse, v1alpha1.ReasonRevisionLag, fmt.Sprintf(
			"%s stopped although the status does not say so; longest: %s %s/%s has not attempted %s of %s since %s",
			plural(total, "consumer"), first.Kind, first.Namespace, first.Name, first.SourceRevision, first.Source,
			first.Since.UTC().Format(time.RFC3339)))
	}
	if next.IsZero() {
		return 0, total
	}
	return max(next.Sub(now), time.Second), total
}

// announce makes an Event of each condition that turned.
func (r *Reconciler) announce(l *v1alpha1.Lifeline, want *v1alpha1.LifelineStatus) {
	for kind, good := range map[string]metav1.ConditionStatus{
		v1alpha1.ConditionSurvivable: metav1.ConditionTrue,
		v1alpha1.ConditionAlive:      metav1.ConditionTrue,
		v1alpha1.ConditionStalled:    metav1.ConditionFalse,
	} {
		now := meta.FindStatusCondition(want.Conditions, kind)
		if now == nil {
			continue
		}
		before := meta.FindStatusCondition(l.Status.Conditions, kind)
		if before != nil && before.Status == now.Status && before.Reason == now.Reason {
			continue
		}
		severity := corev1.EventTypeWarning
		if now.Status == metav1.ConditionUnknown && now.Reason == v1alpha1.ReasonSyncing {
			continue
		}
		if now.Status == good {
			severity = corev1.EventTypeNormal
		}
		r.recorder.Eventf(l, nil, severity, now.Reason, "Judge", "%s", now.Message)
	}
}

func (r *Reconciler) measure(l *v1alpha1.Lifeline, want *v1alpha1.LifelineStatus) {
	survives := 0.0
	if want.Survives != nil && *want.Survives {
		survives = 1
	}
	r.metrics.LifelineSurvives.WithLabelValues(l.Namespace, l.Name).Set(survives)
	r.metrics.LifelineMemberReady.DeletePartialMatch(map[string]string{"namespace": l.Namespace, "name": l.Name})
	for _, m := range want.Members {
		r.metrics.LifelineMemberReady.WithLabelValues(l.Namespace, l.Name, m.Name).Set(float64(m.Ready))
	}
}

func (r *Reconciler) forget(at types.NamespacedName) {
	delete(r.conflicts, at)
	match := map[string]string{"namespace": at.Namespace, "name": at.Name}
	r.metrics.LifelineSurvives.DeletePartialMatch(match)
	r.metrics.LifelineLagging.DeletePartialMatch(match)
	r.metrics.LifelineLagKnown.DeletePartialMatch(match)
	r.metrics.LifelineMemberReady.DeletePartialMatch(match)
}

func conditionStatus(is bool) metav1.ConditionStatus {
	if is {
		return metav1.ConditionTrue
	}
	return metav1.ConditionFalse
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

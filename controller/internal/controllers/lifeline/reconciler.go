package lifeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/action"
	"github.com/mainstay-dev/mainstay/controller/internal/lifeline"
	"github.com/mainstay-dev/mainstay/controller/internal/metrics"
	"github.com/mainstay-dev/mainstay/controller/internal/status"
)

// +kubebuilder:rbac:groups=mainstay.dev,resources=lifelines,verbs=get;list;watch
// +kubebuilder:rbac:groups=mainstay.dev,resources=lifelines/status,verbs=patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// lookAgain is how often a Lifeline is judged although nothing changed: a
// Lease that is not renewed any more expires without an event. It reads the
// cache only.
const lookAgain = 30 * time.Second

// pollClaim is how often a claim without a result is looked at: its holder may be
// acting on it.
const pollClaim = 5 * time.Second

// conflictPause is how long a status that another manager owns is left alone.
const conflictPause = 5 * time.Minute

// maxKept is how many Interventions the Lifelines of a namespace may have before no more are
// made: they are in Mainstay's namespace, and no part of the quota of whoever writes Lifelines.
const maxKept = 256

// Executor claims and takes actions.
type Executor interface {
	Do(ctx context.Context, claim action.Claim) (*v1alpha1.Intervention, error)
	Refuse(ctx context.Context, claim action.Claim, why string) error
	Resolve(ctx context.Context, iv *v1alpha1.Intervention) (bool, error)
	Judge(ctx context.Context, iv *v1alpha1.Intervention, verdict v1alpha1.Verdict, evidence string) error
}

// StatusWriter writes a status where it differs.
type StatusWriter interface {
	Write(ctx context.Context, obj client.Object, have, want any) (status.Result, error)
}

// Options of a Reconciler; all are required.
type Options struct {
	// Client reads the cache; Reader reads the API server.
	Client client.Client
	Reader client.Reader
	// Objects are Flux's kinds, which may be absent.
	Objects  Objects
	Executor Executor
	Statuses StatusWriter
	Recorder events.EventRecorder
	Metrics  *metrics.Metrics
	Clock    clock.PassiveClock
	// Namespace is Mainstay's own, where Interventions are.
	Namespace string
	// FluxNamespaces are those whose Lifelines may see the lag of all others, and are
	// looked at first.
	FluxNamespaces []string
}

// Reconciler judges and heals Lifelines. It runs on the leader only, warm on
// the others.
type Reconciler struct {
	client         client.Client
	reader         client.Reader
	objects        Objects
	executor       Executor
	statuses       StatusWriter
	recorder       events.EventRecorder
	metrics        *metrics.Metrics
	clock          clock.PassiveClock
	namespace      string
	fluxNamespaces []string

	// conflicts are statuses that another manager did not let pass, touched by
	// the one worker.
	conflicts map[types.NamespacedName]conflict
}

// New returns a Reconciler.
func New(o Options) *Reconciler {
	return &Reconciler{
		client: o.Client, reader: o.Reader, objects: o.Objects, executor: o.Executor, statuses: o.Statuses,
		recorder: o.Recorder, metrics: o.Metrics, clock: o.Clock, namespace: o.Namespace,
		fluxNamespaces: o.FluxNamespaces,
		conflicts:      map[types.NamespacedName]conflict{},
	}
}

// Reconcile judges one Lifeline, heals it by at most one move, and says so in
// its status. Of one that is gone it finds out what became of its claims.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	l := &v1alpha1.Lifeline{}
	err := r.client.Get(ctx, req.NamespacedName, l)
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("read lifeline %s: %w", req.NamespacedName, err)
	}
	gone := err != nil
	if gone {
		r.forget(req.NamespacedName)
		l.Namespace, l.Name = req.Namespace, req.Name
	}
	past, err := r.past(ctx, r.client, l)
	if err != nil {
		return ctrl.Result{}, err
	}
	wait, resolveErr := r.resolve(ctx, past)
	if gone || l.DeletionTimestamp != nil {
		return ctrl.Result{RequeueAfter: wait}, resolveErr
	}

	snapshot, err := gather(ctx, r.client, l, r.clock.Now())
	if err != nil {
		return ctrl.Result{}, err
	}
	verdict := lifeline.Judge(snapshot)
	unsettled, assessErr := r.assess(ctx, past, snapshot)
	decision := r.heal(ctx, snapshot, verdict, past)
	lag, err := r.report(ctx, l, verdict, decision)
	if err := errors.Join(err, resolveErr, assessErr); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: soonest(lookAgain, wait, unsettled, decision.RetryAfter, lag)}, nil
}

// soonest is the shortest of the waits that are none of zero.
func soonest(waits ...time.Duration) time.Duration {
	var least time.Duration
	for _, d := range waits {
		if d > 0 && (least == 0 || d < least) {
			least = d
		}
	}
	return least
}

// heal plans on the cache and, where there is a move to make, plans once more
// on what the API server says now. Only what both agree on is done. What fails is
// tried again at the next look: the condition says it meanwhile.
func (r *Reconciler) heal(ctx context.Context, cached lifeline.Snapshot, verdict lifeline.Verdict, past past) lifeline.Decision {
	l := cached.Lifeline
	decision := past.bound(l, lifeline.Plan(cached, verdict, past.mine))
	if decision.Move == nil {
		return decision
	}
	move, looked := decision.Move, time.Now()
	decision, err := r.planLive(ctx, l)
	if err == nil && decision.Move != nil {
		move = decision.Move
		decision, err = r.act(ctx, l, decision, looked)
	}
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot move a pod", "pod", move.Namespace+"/"+move.Name)
		return lifeline.Decision{
			Reason:     v1alpha1.ReasonBlocked,
			Message:    fmt.Sprintf("cannot move pod %s: %v", move.Name, err),
			RetryAfter: lookAgain,
		}
	}
	return decision
}

// planLive plans on what the API server says: on the Lifeline first, which may be gone
// or ask for something else than the one in the cache.
func (r *Reconciler) planLive(ctx context.Context, cached *v1alpha1.Lifeline) (lifeline.Decision, error) {
	l := &v1alpha1.Lifeline{}
	err := client.IgnoreNotFound(r.reader.Get(ctx, client.ObjectKeyFromObject(cached), l))
	if err != nil {
		return lifeline.Decision{}, fmt.Errorf("read lifeline %s/%s: %w", cached.Namespace, cached.Name, err)
	}
	// What is not found has no UID.
	if l.UID != cached.UID || l.DeletionTimestamp != nil {
		return lifeline.Decision{Reason: v1alpha1.ReasonIdle, Message: "there is nothing to heal: the Lifeline is gone"}, nil
	}
	live, err := gather(ctx, r.reader, l, r.clock.Now())
	if err != nil {
		return lifeline.Decision{}, err
	}
	past, err := r.past(ctx, r.reader, l)
	if err != nil {
		return lifeline.Decision{}, err
	}
	return past.bound(l, lifeline.Plan(live, lifeline.Judge(live), past.mine)), nil
}

// act makes the move that was decided on, or records it. looked is when the reading
// began of what it was decided from. The error means that no pod was moved.
func (r *Reconciler) act(ctx context.Context, l *v1alpha1.Lifeline, decision lifeline.Decision, looked time.Time) (lifeline.Decision, error) {
	claim := action.Claim{
		Owner:    v1alpha1.OwnerReference{Kind: "Lifeline", Namespace: l.Namespace, Name: l.Name, UID: l.UID},
		Action:   v1alpha1.ActionEvict,
		Target:   decision.Move.Target(),
		Attempt:  decision.Move.Attempt,
		Reason:   decision.Move.Why,
		Evidence: decision.Move.Evidence,
		Looked:   looked,
	}
	if decision.DryRun {
		return decision, r.executor.Refuse(ctx, claim, "dry run: spec.heal.mode is DryRun")
	}
	iv, err := r.executor.Do(ctx, claim)
	switch {
	case iv == nil && err != nil:
		return decision, err
	case iv == nil:
		decision.Reason = v1alpha1.ReasonBlocked
		decision.Message = fmt.Sprintf("somebody else claimed this move: intervention %s", claim.Name())
		decision.RetryAfter = pollClaim
		return decision, nil
	case err != nil:
		// What became of the claim is found out: until then the pod is being moved.
		ctrl.LoggerFrom(ctx).Error(err, "the result of an action is not known", "intervention", iv.Name)
		decision.RetryAfter = pollClaim
	}
	if iv.Status.Phase == v1alpha1.PhaseDone {
		r.recorder.Eventf(l, iv, corev1.EventTypeNormal, "Evicted", "Rebalance",
			"evicted pod %s from node %s: %s (intervention %s)", claim.Target.Name, claim.Target.Node, claim.Reason, iv.Name)
	}
	return decision, nil
}

// resolve finds out what became of claims without a result, those of a former
// Lifeline of the name among them. It returns when to look again.
func (r *Reconciler) resolve(ctx context.Context, past past) (time.Duration, error) {
	var wait time.Duration
	for _, iv := range slices.Concat(past.mine, past.former) {
		if action.Final(iv.Status.Phase) {
			continue
		}
		resolved, err := r.executor.Resolve(ctx, iv.DeepCopy())
		if err := ignoreConflict(err); err != nil {
			return wait, err
		}
		if !resolved {
			wait = pollClaim
		}
	}
	return wait, nil
}

// assess finds out whether the moves that were made helped. It returns when to
// look again.
func (r *Reconciler) assess(ctx context.Context, past past, snapshot lifeline.Snapshot) (time.Duration, error) {
	var wait time.Duration
	for _, iv := range past.mine {
		if iv.Status.Phase != v1alpha1.PhaseDone || iv.Status.Verdict != "" {
			continue
		}
		assessment := lifeline.Assess(iv, snapshot)
		if !assessment.Settled {
			wait = soonest(wait, assessment.RetryAfter)
			continue
		}
		if err := r.executor.Judge(ctx, iv, assessment.Verdict, assessment.Evidence); err != nil {
			return wait, ignoreConflict(err)
		}
		if assessment.Verdict == v1alpha1.VerdictFutile {
			r.recorder.Eventf(snapshot.Lifeline, iv, corev1.EventTypeWarning, v1alpha1.ReasonFutile, "Rebalance",
				"%s (intervention %s)", assessment.Message, iv.Name)
		}
	}
	return wait, nil
}

// past are the Interventions of a Lifeline.
type past struct {
	mine []*v1alpha1.Intervention
	// former are those of a Lifeline of the same name that is gone.
	former []*v1alpha1.Intervention
	// kept is how many those of the namespace's Lifelines are together, and moves how many
	// of them are more than the record of a dry run.
	kept, moves int
}

// bound drops a move that there is no room to record. Dry runs, which take no right, leave
// room for moves.
func (p past) bound(l *v1alpha1.Lifeline, decision lifeline.Decision) lifeline.Decision {
	switch {
	case decision.Move == nil:
	case decision.DryRun && p.kept >= maxKept:
		decision.Move = nil
		decision.Message = fmt.Sprintf("spec.heal.mode is DryRun, and the Lifelines of namespace %s have %d Interventions: a move that would be made is not recorded", l.Namespace, p.kept)
	case !decision.DryRun && p.moves >= maxKept:
		return lifeline.Decision{
			Reason:  v1alpha1.ReasonBlocked,
			Message: fmt.Sprintf("the Lifelines of namespace %s have %d Interventions of moves: no other move is begun", l.Namespace, p.moves),
		}
	}
	return decision
}

// past lists the Interventions that are about a Lifeline of l's namespace and name. It reads
// those of the namespace only, which are bounded.
func (r *Reconciler) past(ctx context.Context, reader client.Reader, l *v1alpha1.Lifeline) (past, error) {
	var list v1alpha1.InterventionList
	err := reader.List(ctx, &list, client.InNamespace(r.namespace),
		client.MatchingLabels{v1alpha1.LabelOwnerKind: "Lifeline", v1alpha1.LabelOwnerNamespace: l.Namespace})
	if err != nil {
		return past{}, fmt.Errorf("list the interventions of lifeline %s/%s: %w", l.Namespace, l.Name, err)
	}
	var found past
	for i := range list.Items {
		iv := &list.Items[i]
		owner := &iv.Spec.Owner
		if owner.Kind != "Lifeline" || owner.Namespace != l.Namespace {
			continue
		}
		found.kept++
		if iv.Labels[v1alpha1.LabelDryRun] != "true" {
			found.moves++
		}
		switch {
		case owner.Name == l.Name && owner.UID != l.UID:
			found.former = append(found.former, iv)
		case owner.UID == l.UID:
			found.mine = append(found.mine, iv)
		}
	}
	return found, nil
}

// ignoreConflict: somebody wrote the Intervention meanwhile, and the change
// brings the Lifeline back by itself.
func ignoreConflict(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

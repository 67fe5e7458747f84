package lifeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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

// conflictPause is how long a status that another manager owns is left alone.
const conflictPause = 5 * time.Minute

// maxKept is how many Interventions the Lifelines of a namespace may have before their dry
// runs are not recorded any more: whoever writes Lifelines needs no right for those, and
// they are no part of his quota.
const maxKept = 256

// Executor claims and takes actions.
type Executor interface {
	Do(ctx context.Context, claim action.Claim) (*v1alpha1.Intervention, error)
	Refuse(ctx context.Context, claim action.Claim, why string) error
	Resolve(ctx context.Context, iv *v1alpha1.Intervention) (bool, error)
	Judge(ctx context.Context, iv *v1alpha1.Intervention, verdict v1alpha1.Verdict) error
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
	// FluxNamespaces are those whose Lifelines may see the lag of all others.
	FluxNamespaces []string
	// Profiles of workloads that are known by name.
	Profiles map[string]v1alpha1.Profile
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
	profiles       map[string]v1alpha1.Profile
}

// New returns a Reconciler.
func New(o Options) *Reconciler {
	return &Reconciler{
		client: o.Client, reader: o.Reader, objects: o.Objects, executor: o.Executor, statuses: o.Statuses,
		recorder: o.Recorder, metrics: o.Metrics, clock: o.Clock, namespace: o.Namespace,
		fluxNamespaces: o.FluxNamespaces, profiles: o.Profiles,
	}
}

// Reconcile judges one Lifeline, heals it by at most one move, and says so in
// its status.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	l := &v1alpha1.Lifeline{}
	if err := r.client.Get(ctx, req.NamespacedName, l); err != nil {
		if apierrors.IsNotFound(err) {
			r.forget(req.Namespace, req.Name)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if l.DeletionTimestamp != nil {
		return ctrl.Result{}, nil
	}

	snapshot, err := gather(ctx, r.client, l, r.profiles, r.clock.Now())
	if err != nil {
		return ctrl.Result{}, err
	}
	verdict := lifeline.Judge(snapshot)
	history, kept, err := r.history(ctx, r.client, l)
	if err != nil {
		return ctrl.Result{}, err
	}
	wait, settleErr := r.settle(ctx, history, snapshot)
	decision, healErr := r.heal(ctx, snapshot, verdict, history, kept)

	result, err := r.report(ctx, l, verdict, decision)
	if err == nil {
		err = errors.Join(settleErr, healErr)
	}
	if err != nil || result.RequeueAfter == conflictPause {
		return result, err
	}
	for _, d := range []time.Duration{lookAgain, wait, decision.RetryAfter} {
		if d > 0 && (result.RequeueAfter == 0 || d < result.RequeueAfter) {
			result.RequeueAfter = d
		}
	}
	return result, nil
}

// heal plans on the cache and, where there is a move to make, plans once more
// on what the API server says now. Only what both agree on is done.
func (r *Reconciler) heal(ctx context.Context, cached lifeline.Snapshot, verdict lifeline.Verdict, history []*v1alpha1.Intervention, kept int) (lifeline.Decision, error) {
	decision := lifeline.Plan(cached, verdict, history)
	if decision.Move == nil {
		return decision, nil
	}
	l := cached.Lifeline
	if decision.DryRun && kept >= maxKept {
		decision.Message = fmt.Sprintf("spec.heal.mode is DryRun, and the Lifelines of namespace %s have %d Interventions: a move that would be made is not recorded", l.Namespace, kept)
		return decision, nil
	}
	live, err := gather(ctx, r.reader, l, r.profiles, r.clock.Now())
	if err != nil {
		return decision, err
	}
	if history, _, err = r.history(ctx, r.reader, l); err != nil {
		return decision, err
	}
	decision = lifeline.Plan(live, lifeline.Judge(live), history)
	if decision.Move == nil {
		return decision, nil
	}

	claim := action.Claim{
		Owner:    v1alpha1.OwnerReference{Kind: "Lifeline", Namespace: l.Namespace, Name: l.Name, UID: l.UID},
		Action:   v1alpha1.ActionEvict,
		Target:   decision.Move.Target(),
		Attempt:  decision.Move.Attempt,
		Reason:   decision.Move.Why,
		Evidence: decision.Move.Evidence,
	}
	if decision.DryRun {
		return decision, r.executor.Refuse(ctx, claim, "dry run: spec.heal.mode is DryRun")
	}
	iv, err := r.executor.Do(ctx, claim)
	if iv == nil && err == nil {
		decision.Reason = v1alpha1.ReasonBlocked
		decision.Message = fmt.Sprintf("somebody else claimed this move: intervention %s", claim.Name())
		decision.RetryAfter = 5 * time.Second
	}
	if iv != nil && iv.Status.Phase == v1alpha1.PhaseDone {
		r.recorder.Eventf(l, iv, corev1.EventTypeNormal, "Evicted", "Rebalance",
			"evicted pod %s from node %s: %s (intervention %s)", claim.Target.Name, claim.Target.Node, claim.Reason, iv.Name)
	}
	return decision, err
}

// settle finds out what became of claims without a result, and whether the
// moves that were made helped. It returns when to look again.
func (r *Reconciler) settle(ctx context.Context, history []*v1alpha1.Intervention, snapshot lifeline.Snapshot) (time.Duration, error) {
	var wait time.Duration
	sooner := func(d time.Duration) {
		if d > 0 && (wait == 0 || d < wait) {
			wait = d
		}
	}
	for _, iv := range history {
		if !action.Final(iv.Status.Phase) {
			resolved, err := r.executor.Resolve(ctx, iv.DeepCopy())
			if err != nil {
				return wait, ignoreConflict(err)
			}
			if !resolved {
				sooner(5 * time.Second)
			}
			continue
		}
		if iv.Status.Phase != v1alpha1.PhaseDone || iv.Status.Verdict != "" {
			continue
		}
		assessment := lifeline.Assess(iv, snapshot)
		if !assessment.Settled {
			sooner(assessment.RetryAfter)
			continue
		}
		if err := r.executor.Judge(ctx, iv, assessment.Verdict); err != nil {
			return wait, ignoreConflict(err)
		}
		if assessment.Verdict == v1alpha1.VerdictFutile {
			r.recorder.Eventf(snapshot.Lifeline, iv, corev1.EventTypeWarning, v1alpha1.ReasonFutile, "Rebalance",
				"%s (intervention %s)", assessment.Message, iv.Name)
		}
	}
	return wait, nil
}

// history are the Interventions of a Lifeline, and how many those of its namespace have
// together.
func (r *Reconciler) history(ctx context.Context, reader client.Reader, l *v1alpha1.Lifeline) (mine []*v1alpha1.Intervention, all int, err error) {
	var list v1alpha1.InterventionList
	err = reader.List(ctx, &list, client.InNamespace(r.namespace), client.MatchingLabels{v1alpha1.LabelOwnerKind: "Lifeline"})
	if err != nil {
		return nil, 0, fmt.Errorf("list the interventions of lifeline %s/%s: %w", l.Namespace, l.Name, err)
	}
	for i := range list.Items {
		owner := &list.Items[i].Spec.Owner
		if owner.Kind != "Lifeline" || owner.Namespace != l.Namespace {
			continue
		}
		all++
		if owner.UID == l.UID {
			mine = append(mine, &list.Items[i])
		}
	}
	return mine, all, nil
}

// ignoreConflict: somebody wrote the Intervention meanwhile, and the change
// brings the Lifeline back by itself.
func ignoreConflict(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

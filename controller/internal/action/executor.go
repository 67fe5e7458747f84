package action

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/metrics"
	"github.com/mainstay-dev/mainstay/controller/internal/status"
)

// +kubebuilder:rbac:groups=mainstay.dev,namespace=mainstay-system,resources=interventions,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups=mainstay.dev,namespace=mainstay-system,resources=interventions/status,verbs=update

// ClaimTimeout is how long a claim without a result may still belong to a
// holder that is about to act, or whose request is still being served: the time
// to act and the 30 s that the API server gives an eviction, with a margin.
const ClaimTimeout = time.Minute

// actWithin bounds the request of an action, counted from before the reading of what
// it was decided from.
const actWithin = 20 * time.Second

// Executor claims actions and takes them.
type Executor struct {
	client    client.Client
	actions   map[v1alpha1.Action]Action
	namespace string
	holder    string
	clock     clock.PassiveClock
	metrics   *metrics.Metrics
}

// NewExecutor returns an Executor that keeps its claims in namespace, under
// the name of holder.
func NewExecutor(c client.Client, actions map[v1alpha1.Action]Action, namespace, holder string, clk clock.PassiveClock, m *metrics.Metrics) *Executor {
	return &Executor{client: c, actions: actions, namespace: namespace, holder: holder, clock: clk, metrics: m}
}

// Claim is what somebody wants done.
type Claim struct {
	Owner    v1alpha1.OwnerReference
	Action   v1alpha1.Action
	Target   v1alpha1.TargetReference
	Attempt  int32
	Reason   string
	Evidence string

	// Looked is when the reading began of what the claim was decided from, by
	// time.Now: its age is told by the process's own clock, which nobody sets. The
	// zero time stands for now.
	Looked time.Time
}

// Name derives the Intervention's name from what makes an action the same
// action: owner, target, action and attempt.
func (c Claim) Name() string {
	id := strings.Join([]string{
		c.Owner.Kind, c.Owner.Namespace, c.Owner.Name, string(c.Owner.UID),
		c.Target.APIVersion, c.Target.Kind, c.Target.Namespace, c.Target.Name, string(c.Target.UID),
		string(c.Action), strconv.Itoa(int(c.Attempt)),
	}, "\x00")
	sum := sha256.Sum256([]byte(id))
	prefix := strings.Trim(c.Owner.Name[:min(len(c.Owner.Name), 40)], "-.")
	return fmt.Sprintf("%s-%s-%s", prefix, strings.ToLower(string(c.Action)), hex.EncodeToString(sum[:8]))
}

// Do claims and takes the action. It returns nil without an Intervention where
// somebody else has the claim already. The error is that of the API server, or
// says that the claim was decided too long ago; the claim, if there is one, is
// left for Resolve then.
func (e *Executor) Do(ctx context.Context, claim Claim) (*v1alpha1.Intervention, error) {
	start := e.clock.Now()
	if claim.Looked.IsZero() {
		claim.Looked = time.Now()
	}
	if age := time.Since(claim.Looked); age >= actWithin {
		return nil, fmt.Errorf("%s of %s %s/%s: decided from what was read %s ago, not claiming it",
			claim.Action, claim.Target.Kind, claim.Target.Namespace, claim.Target.Name, age.Round(time.Second))
	}
	iv, err := e.create(ctx, claim, false)
	if iv == nil || err != nil {
		return nil, err
	}
	action, known := e.actions[claim.Action]
	if !known {
		return iv, e.finish(ctx, iv, v1alpha1.PhaseFailed, fmt.Sprintf("this build cannot do %s", claim.Action))
	}
	// A holder that was paused after its claim acts late: what it claimed may
	// have been given up for it meanwhile. This write is a second look at the
	// claim: whoever resolved it has changed it, and the write fails.
	iv.Status.Phase = v1alpha1.PhaseClaimed
	if err := e.client.Status().Update(ctx, iv); err != nil {
		return iv, fmt.Errorf("confirm the claim %s: %w", iv.Name, err)
	}
	// A machine that slept does not count its sleep; the API server's clock does.
	age := max(time.Since(claim.Looked), e.clock.Since(start))
	if age >= actWithin {
		return iv, fmt.Errorf("intervention %s: decided from what was read %s ago, not acting on it", iv.Name, age.Round(time.Second))
	}
	ctx, cancel := context.WithTimeout(ctx, actWithin-age)
	defer cancel()
	err = action.Do(ctx, claim.Target)
	switch {
	case err == nil:
		return iv, e.finish(ctx, iv, v1alpha1.PhaseDone, fmt.Sprintf("%s of %s %s/%s accepted", claim.Action, claim.Target.Kind, claim.Target.Namespace, claim.Target.Name))
	case errors.Is(err, ErrGone), errors.Is(err, ErrBlocked), errors.Is(err, ErrRejected):
		return iv, e.finish(ctx, iv, v1alpha1.PhaseFailed, err.Error())
	default:
		// Whether it had an effect is not known: Resolve looks at the target.
		return iv, err
	}
}

// Refuse records an action of a dry run, which is not taken, and why. The record is
// marked from its creation on, so that it is never taken for a claim.
func (e *Executor) Refuse(ctx context.Context, claim Claim, why string) error {
	iv, err := e.create(ctx, claim, true)
	if iv == nil || err != nil {
		return err
	}
	return e.finish(ctx, iv, v1alpha1.PhaseRefused, why)
}

// Resolve finds out what became of a claim without a result. It returns false
// while the claim's holder may still be acting.
func (e *Executor) Resolve(ctx context.Context, iv *v1alpha1.Intervention) (bool, error) {
	if Final(iv.Status.Phase) {
		return true, nil
	}
	if iv.Labels[v1alpha1.LabelDryRun] == "true" {
		return true, e.finish(ctx, iv, v1alpha1.PhaseRefused, "dry run: nothing was done")
	}
	age := e.clock.Since(iv.CreationTimestamp.Time)
	action, known := e.actions[iv.Spec.Action]
	if !known {
		return true, e.finish(ctx, iv, v1alpha1.PhaseFailed, fmt.Sprintf("this build cannot do %s", iv.Spec.Action))
	}
	seen, err := action.Seen(ctx, iv.Spec.Target)
	switch {
	case err != nil:
		return false, err
	case seen:
		return true, e.finish(ctx, iv, v1alpha1.PhaseDone, "the effect was seen on the target")
	case age > ClaimTimeout:
		return true, e.finish(ctx, iv, v1alpha1.PhaseFailed, fmt.Sprintf("no effect was seen within %s of the claim by %s", ClaimTimeout, iv.Spec.Holder))
	default:
		return false, nil
	}
}

// Judge records whether an action that was done helped, and the evidence that a
// futile one was judged by.
func (e *Executor) Judge(ctx context.Context, iv *v1alpha1.Intervention, verdict v1alpha1.Verdict, evidence string) error {
	changed := iv.DeepCopy()
	changed.Status.Verdict = verdict
	changed.Status.Evidence = evidence
	if err := e.client.Status().Update(ctx, changed); err != nil {
		return fmt.Errorf("record the verdict of intervention %s: %w", iv.Name, err)
	}
	return nil
}

// Final says whether a phase is never left again.
func Final(phase v1alpha1.Phase) bool {
	return phase != "" && phase != v1alpha1.PhaseClaimed
}

// create returns nil without an error where somebody has the claim already.
func (e *Executor) create(ctx context.Context, claim Claim, dryRun bool) (*v1alpha1.Intervention, error) {
	iv := &v1alpha1.Intervention{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: e.namespace,
			Name:      claim.Name(),
			Labels:    ownerLabels(claim.Owner),
		},
		Spec: v1alpha1.InterventionSpec{
			Owner:    claim.Owner,
			Action:   claim.Action,
			Target:   claim.Target,
			Attempt:  claim.Attempt,
			Holder:   e.holder,
			Reason:   status.Truncate(claim.Reason),
			Evidence: claim.Evidence,
		},
	}
	if dryRun {
		iv.Labels[v1alpha1.LabelDryRun] = "true"
	}
	err := e.client.Create(ctx, iv)
	if apierrors.IsAlreadyExists(err) {
		ctrl.LoggerFrom(ctx).Info("somebody has claimed this action", "intervention", iv.Name)
		return nil, nil //nolint:nilnil // documented: no Intervention of ours and no fault either
	}
	if err != nil {
		return nil, fmt.Errorf("claim %s of %s %s/%s: %w", claim.Action, claim.Target.Kind, claim.Target.Namespace, claim.Target.Name, err)
	}
	ctrl.LoggerFrom(ctx).Info("claimed an action", "intervention", iv.Name, "action", string(claim.Action),
		"target", claim.Target.Namespace+"/"+claim.Target.Name, "attempt", claim.Attempt)
	return iv, nil
}

// finish writes the final phase, unless somebody else wrote one: the update
// carries the resourceVersion that was read, and a final phase is never left.
func (e *Executor) finish(ctx context.Context, iv *v1alpha1.Intervention, phase v1alpha1.Phase, message string) error {
	iv.Status.Phase = phase
	iv.Status.Message = status.Truncate(message)
	iv.Status.CompletedAt = new(metav1.NewTime(e.clock.Now()))
	if err := e.client.Status().Update(ctx, iv); err != nil {
		return fmt.Errorf("record the result of intervention %s: %w", iv.Name, err)
	}
	e.metrics.Interventions.WithLabelValues(string(iv.Spec.Action), string(phase)).Inc()
	ctrl.LoggerFrom(ctx).Info("finished an action", "intervention", iv.Name, "phase", string(phase), "result", message)
	return nil
}

// ownerLabels are for selection: names that are too long for a label value are
// left out, and the spec tells them apart.
func ownerLabels(owner v1alpha1.OwnerReference) map[string]string {
	labels := map[string]string{v1alpha1.LabelOwnerKind: owner.Kind}
	for key, value := range map[string]string{
		v1alpha1.LabelOwnerNamespace: owner.Namespace,
		v1alpha1.LabelOwnerName:      owner.Name,
	} {
		if value != "" && len(value) <= 63 {
			labels[key] = value
		}
	}
	return labels
}

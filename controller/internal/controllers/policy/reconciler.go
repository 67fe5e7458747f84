package policy

import (
	"context"
	"errors"
	"fmt"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	rulecontroller "github.com/mainstay-dev/mainstay/controller/internal/controllers/rule"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/gate"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
	"github.com/mainstay-dev/mainstay/controller/internal/metrics"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingadmissionpolicies;validatingadmissionpolicybindings,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=apiextensions.k8s.io,resources=customresourcedefinitions,resourceNames=clusterrules.mainstay.dev;rules.mainstay.dev,verbs=get

// pause is how long what the API server refused, or another manager owns, is
// left alone.
const pause = 5 * time.Minute

// behind is how long a cache that is known to be behind gets to catch up.
const behind = time.Second

// Objects know what the API server serves. Complete says that all of it is known.
type Objects interface {
	Complete() bool
	Paths() []rule.APIResource
	Handle(h informer.Handler)
}

// Options of a Reconciler.
type Options struct {
	// Client reads rules, policies and bindings from the cache, and writes.
	Client client.Client
	// Reader asks the API server.
	Reader   client.Reader
	Compiler *expr.Compiler
	Metrics  *metrics.Metrics
	Clock    clock.PassiveClock
	Objects  Objects
	// Namespace of Mainstay, where gates are recorded as opened.
	Namespace string
	Recovery  policy.Recovery
	// InForce is what the webhook judges by for a rule, nil for nothing.
	InForce func(key rule.Key) *rule.Rule
	// Webhook speaks of the rules that need it.
	Webhook rulecontroller.Enforcement
}

// Reconciler keeps the policies of rules. It runs on the leader only, warm on
// the others.
type Reconciler struct {
	Options
	rulecontroller.Reports
	handover rulecontroller.Handover
	refusals rulecontroller.Refusals
}

var _ reconcile.TypedReconciler[rule.Key] = (*Reconciler)(nil)

// New returns a Reconciler.
func New(opts Options) *Reconciler {
	return &Reconciler{Options: opts}
}

// Reconcile makes the policies of one rule what the rule says.
func (r *Reconciler) Reconcile(ctx context.Context, key rule.Key) (ctrl.Result, error) {
	record, err := gate.Opened(ctx, r.Client, r.Reader, r.Namespace)
	if err != nil {
		return ctrl.Result{}, err
	}
	if record != nil {
		// Who opened all gates waits for no cache.
		if err := r.removeAll(ctx, key); err != nil {
			return ctrl.Result{}, err
		}
	}
	obj, spec, err := rulecontroller.Read(ctx, r.Client, key)
	if apierrors.IsNotFound(err) || err == nil && obj.GetDeletionTimestamp() != nil {
		r.Forget(key)
		r.handover.Forget(key)
		r.refusals.Forget(key)
		return r.open(ctx, key, policy.Report{})
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	report := policy.Report{UID: obj.GetUID(), Generation: obj.GetGeneration()}
	switch {
	case !rule.HasMode(spec, v1alpha1.ModeAdmission):
		report.Enforcement = v1alpha1.EnforcementAuditOnly
		return r.release(ctx, key, report)
	case spec.Suspend:
		report.Enforced, report.Reason, report.Message = metav1.ConditionFalse, v1alpha1.ReasonSuspended, "suspended: no request is judged"
		return r.release(ctx, key, report)
	case record != nil:
		report.Enforced, report.Reason = metav1.ConditionFalse, v1alpha1.ReasonUnlocked
		report.Message = record.String() + "; mainstay lock closes the gates again"
		r.Set(key, report)
		return ctrl.Result{}, nil
	}

	compiled, mistakes := rule.Compile(r.Compiler, key, obj.GetGeneration(), spec)
	if len(mistakes) > 0 {
		return r.stay(ctx, key, report, &policy.Refusal{Reason: rule.ReasonOf(mistakes), Message: mistakes.ToAggregate().Error()})
	}
	if refusal := policy.Check(compiled); refusal != nil {
		return r.stay(ctx, key, report, refusal)
	}
	if policy.NeedsWebhook(compiled) {
		return r.handOver(ctx, key, report)
	}
	report.Enforcement = v1alpha1.EnforcementInProcess
	now := r.Clock.Now()
	objects, refusal, err := r.compile(ctx, obj, compiled, now)
	switch {
	case err != nil:
		return ctrl.Result{}, err
	case refusal != nil:
		wait, err := r.refused(ctx, key, report, refusal, now)
		return ctrl.Result{RequeueAfter: wait}, err
	}
	return r.enforce(ctx, key, objects, report, now)
}

// handOver leaves a rule to the webhook, whose controller speaks of it. What a former
// generation had enforced by policies goes when the webhook has enforced this one for a
// while.
func (r *Reconciler) handOver(ctx context.Context, key rule.Key, report policy.Report) (ctrl.Result, error) {
	r.Forget(key)
	if left := r.handover.Left(r.Webhook, key, report.UID, report.Generation, r.Clock.Now()); left > 0 {
		_, err := r.spare(ctx, key, report, nil)
		return ctrl.Result{RequeueAfter: left}, err
	}
	return r.open(ctx, key, report)
}

// release removes what is left of the policies of a rule that has none.
func (r *Reconciler) release(ctx context.Context, key rule.Key, report policy.Report) (ctrl.Result, error) {
	result, err := r.open(ctx, key, report)
	if err == nil && result.IsZero() {
		r.Set(key, report)
	}
	return result, err
}

// open removes the policies of a rule that is not enforced by any, or is gone, if the API
// server says so too: the cache of a new leader may be behind what a former one saw.
func (r *Reconciler) open(ctx context.Context, key rule.Key, seen policy.Report) (ctrl.Result, error) {
	objects, err := r.objectsOf(ctx, key)
	if err != nil || len(objects) == 0 {
		return ctrl.Result{}, err
	}
	at, err := r.live(ctx, key)
	if err != nil {
		return ctrl.Result{}, err
	}
	if at != (version{}) && at != versionOf(seen) {
		return ctrl.Result{RequeueAfter: behind}, nil
	}
	return ctrl.Result{}, r.remove(ctx, key, objects)
}

// stay leaves what enforces a former generation of a rule that does not compile.
func (r *Reconciler) stay(ctx context.Context, key rule.Key, report policy.Report, refusal *policy.Refusal) (ctrl.Result, error) {
	wait, err := r.spare(ctx, key, report, refusal)
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: wait}, r.keep(ctx, key, report, refusal)
}

// spare has the policies of a former generation leave out the recovery path, which may be
// another one since they were written: no rule, however wrong, denies anything on it. Where
// that fails the refusal of the present generation says so, and after the wait it is time to
// try again.
func (r *Reconciler) spare(ctx context.Context, key rule.Key, report policy.Report, refusal *policy.Refusal) (wait time.Duration, err error) {
	objects, err := r.objectsOf(ctx, key)
	if err != nil {
		return 0, err
	}
	var spared []*admissionregistrationv1.ValidatingAdmissionPolicy
	for _, obj := range objects {
		if have, ok := obj.(*admissionregistrationv1.ValidatingAdmissionPolicy); ok {
			if want := policy.Spare(have, key, r.Recovery); !same(have, want) {
				spared = append(spared, want)
			}
		}
	}
	if len(spared) == 0 {
		return 0, nil
	}
	refused, err := r.current(ctx, key, report)
	if err == nil && refused == nil {
		_, refused, err = r.applyAll(ctx, spared, nil)
	}
	switch {
	case errors.Is(err, errBehind):
		return behind, nil
	case err != nil:
		return 0, err
	case refused == nil:
		return 0, nil
	}
	if refusal != nil {
		refusal.Message += "; and it may be enforced on what is the recovery path now: " + refused.Message
	}
	if refused.Reason == v1alpha1.ReasonForbidden {
		wait, _ = r.refusals.Again(key, r.Clock.Now())
		return wait, nil
	}
	return pause, nil
}

// keep reports why a generation is not enforced. What was before still is: a
// slip in an edit is no reason to open a gate.
func (r *Reconciler) keep(ctx context.Context, key rule.Key, report policy.Report, refusal *policy.Refusal) error {
	before, err := r.objectsOf(ctx, key)
	if err != nil {
		return err
	}
	report.Enforced, report.Reason = metav1.ConditionFalse, refusal.Reason
	switch {
	case refusal.Reason == v1alpha1.ReasonConflict:
		report.Message = "not enforced as it is now in all of its parts: " + refusal.Message
	case len(before) > 0 || r.InForce(key) != nil:
		report.Message = "not enforced as it is now, and what was before is left as it is: " + refusal.Message
	default:
		report.Message = "not enforced, and nothing that was before is known: " + refusal.Message
	}
	r.Set(key, report)
	return nil
}

// enforce writes the policies of a rule, and says what the API server answered.
func (r *Reconciler) enforce(ctx context.Context, key rule.Key, objects *policy.Objects, report policy.Report, now time.Time) (ctrl.Result, error) {
	var result ctrl.Result
	if !objects.NextExpiry.IsZero() {
		result.RequeueAfter = objects.NextExpiry.Sub(now)
	}
	live, refused, err := r.apply(ctx, key, objects, report)
	switch {
	case errors.Is(err, errBehind):
		return ctrl.Result{RequeueAfter: behind}, nil
	case err != nil:
		return ctrl.Result{}, err
	}
	if refused != nil {
		wait, err := r.refused(ctx, key, report, refused, now)
		if err != nil {
			return ctrl.Result{}, err
		}
		if result.RequeueAfter == 0 || result.RequeueAfter > wait {
			result.RequeueAfter = wait
		}
		return result, nil
	}
	r.refusals.Forget(key)
	report.Enforced, report.Reason, report.Message = answerOf(live)
	if objects.Unserved && report.Enforced == metav1.ConditionTrue {
		report.Enforced, report.Reason = metav1.ConditionFalse, v1alpha1.ReasonKindNotFound
		report.Message += " is in place, and judges nothing: the API server serves no resource that matchConstraints.resourceRules match, in a version that they name"
	}
	r.Set(key, report)
	return result, nil
}

// refused reports why a generation could not be written, and returns after how long to try
// again. What is forbidden is reported once it has lasted: until then what was said of the
// rule holds.
func (r *Reconciler) refused(ctx context.Context, key rule.Key, report policy.Report, refusal *policy.Refusal, now time.Time) (time.Duration, error) {
	wait, lasts := pause, true
	if refusal.Reason == v1alpha1.ReasonForbidden {
		wait, lasts = r.refusals.Again(key, now)
	} else {
		r.refusals.Forget(key)
	}
	again, err := r.spare(ctx, key, report, refusal)
	if err != nil {
		return 0, err
	}
	if again > 0 {
		wait = min(wait, again)
	}
	if !lasts {
		return wait, nil
	}
	return wait, r.keep(ctx, key, report, refusal)
}

// compile returns what enforces a rule, or why nothing can.
func (r *Reconciler) compile(ctx context.Context, obj client.Object, compiled *rule.Rule, now time.Time) (*policy.Objects, *policy.Refusal, error) {
	ofPolicies, ofBindings, err := r.ownersOf(ctx, obj)
	if apierrors.IsForbidden(err) {
		return nil, &policy.Refusal{Reason: v1alpha1.ReasonForbidden, Message: err.Error()}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	var served []rule.APIResource
	if r.Objects.Complete() {
		served = r.Objects.Paths()
	}
	objects, refusal := policy.Compile(compiled, policy.Options{
		Recovery: r.Recovery, Now: now, Served: served,
		PolicyOwner: ofPolicies, BindingOwner: ofBindings,
	})
	return objects, refusal, nil
}

// ownersOf are the owners of a rule's policies and of their bindings. A
// ClusterRule owns its policies, so that they go with it though no leader is
// there. The definition of the kind owns the rest: a namespaced Rule cannot own
// what is in no namespace, and when a kind is deleted the garbage collector may
// have no way left to see that an object of it is gone.
func (r *Reconciler) ownersOf(ctx context.Context, obj client.Object) (ofPolicies, ofBindings metav1.OwnerReference, err error) {
	resource := "clusterrules"
	_, namespaced := obj.(*v1alpha1.Rule)
	if namespaced {
		resource = "rules"
	}
	definition := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"}}
	name := client.ObjectKey{Name: resource + "." + v1alpha1.GroupVersion.Group}
	if err := r.Reader.Get(ctx, name, definition); err != nil {
		return ofPolicies, ofBindings, fmt.Errorf("read the definition of %s, which owns bindings: %w", name.Name, err)
	}
	ofBindings = metav1.OwnerReference{APIVersion: definition.APIVersion, Kind: definition.Kind, Name: definition.Name, UID: definition.UID}
	if namespaced {
		return ofBindings, ofBindings, nil
	}
	return metav1.OwnerReference{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: rule.KindClusterRule, Name: obj.GetName(), UID: obj.GetUID(),
	}, ofBindings, nil
}

package rule

import (
	"context"
	"errors"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/controllers/audit"
	"github.com/mainstay-dev/mainstay/controller/internal/metrics"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/controller/internal/status"
)

// +kubebuilder:rbac:groups=mainstay.dev,resources=clusterrules/status;rules/status,verbs=patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

const (
	// gather is how long findings of one rule are gathered into one write: it
	// bounds the writes to two a second and rule, and leaves half of the
	// second in which a change has to become a finding.
	gather = 500 * time.Millisecond

	// maxAnnounced bounds the violations of which it is remembered how they were announced.
	maxAnnounced = 1024

	// conflictPause is how long a status that another manager owns is left
	// alone.
	conflictPause = 5 * time.Minute
)

// Enforcement is what is known of how rules are enforced.
type Enforcement interface {
	Report(key rule.Key) (policy.Report, bool)
	OnChange(f func(rule.Key))
}

// Reconciler writes what the audit found, and what became of the rule's
// policies. It runs on the leader only, warm on the others.
type Reconciler struct {
	reader      client.Reader
	findings    *audit.Engine
	enforcement Enforcement
	statuses    *status.Writer
	recorder    events.EventRecorder
	metrics     *metrics.Metrics

	// announced has the reference to its rule that each violation was announced with: with
	// the same one, client-go counts an Event of the same up instead of making another.
	announced *lru.Cache[announcement, *corev1.ObjectReference]
}

// announcement is a violation of a rule as it is announced.
type announcement struct {
	rule      types.UID
	violation audit.Violation
}

var _ reconcile.TypedReconciler[rule.Key] = (*Reconciler)(nil)

// NewReconciler returns a Reconciler that reads rules with reader.
func NewReconciler(reader client.Reader, findings *audit.Engine, enforcement Enforcement, statuses *status.Writer, recorder events.EventRecorder,
	m *metrics.Metrics,
) *Reconciler {
	announced, _ := lru.New[announcement, *corev1.ObjectReference](maxAnnounced) // an error is about the size alone
	return &Reconciler{
		reader: reader, findings: findings, enforcement: enforcement, statuses: statuses, recorder: recorder, metrics: m,
		announced: announced,
	}
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	changes := source.TypedFunc[rule.Key](func(_ context.Context, queue workqueue.TypedRateLimitingInterface[rule.Key]) error {
		changed := func(key rule.Key) { queue.AddAfter(key, gather) }
		r.findings.OnChange(changed)
		r.enforcement.OnChange(changed)
		return nil
	})
	if err := watch(mgr, "rule", gathered(), woken()).WatchesRawSource(changes).Complete(r); err != nil {
		return fmt.Errorf("set up the rule controller: %w", err)
	}
	return nil
}

// gathered has a rule be looked at a while after it changed, as after its findings do: each
// write of its status is such a change.
func gathered() handler.TypedEventHandler[client.Object, rule.Key] {
	later := func(obj client.Object, queue workqueue.TypedRateLimitingInterface[rule.Key]) {
		queue.AddAfter(KeyOf(obj), gather)
	}
	return handler.TypedFuncs[client.Object, rule.Key]{
		CreateFunc: func(_ context.Context, e event.CreateEvent, queue workqueue.TypedRateLimitingInterface[rule.Key]) {
			later(e.Object, queue)
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, queue workqueue.TypedRateLimitingInterface[rule.Key]) {
			later(e.ObjectNew, queue)
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, queue workqueue.TypedRateLimitingInterface[rule.Key]) {
			later(e.Object, queue)
		},
	}
}

// woken lets pass what a status has to be looked at for: another status, too, as a leader that
// was paused may have written what it had found before.
func woken() predicate.Predicate {
	return predicate.Or(Rewritten(), predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			_, before := PartsOf(e.ObjectOld)
			_, after := PartsOf(e.ObjectNew)
			return !equality.Semantic.DeepEqual(before, after)
		},
	})
}

// Reconcile writes the status of one rule where the audit has something else
// to say than the status does.
func (r *Reconciler) Reconcile(ctx context.Context, key rule.Key) (ctrl.Result, error) {
	obj, _, err := Read(ctx, r.reader, key)
	if apierrors.IsNotFound(err) {
		r.forget(key)
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	report, known := r.findings.Report(key)
	if !known || report.UID != obj.GetUID() || report.Generation != obj.GetGeneration() {
		return ctrl.Result{}, nil // the audit says when it has got there
	}

	_, have := PartsOf(obj)
	want := wanted(have, report)
	if enforced, known := r.enforcement.Report(key); known && enforced.UID == obj.GetUID() && enforced.Generation == obj.GetGeneration() {
		setEnforced(want, enforced)
	}
	r.measure(key, report)
	r.measureEnforced(key, want)
	result, err := r.statuses.Write(ctx, obj, have, want)
	switch {
	case errors.Is(err, status.ErrStale):
		return ctrl.Result{RequeueAfter: gather}, nil
	case err != nil:
		return ctrl.Result{}, err
	}
	switch result {
	case status.Written:
		r.announce(obj, report, have, want)
	case status.Conflict:
		return ctrl.Result{RequeueAfter: conflictPause}, nil
	case status.Unchanged, status.Gone:
	}
	return ctrl.Result{RequeueAfter: report.Settles}, nil
}

// wanted is the status that says what the report does. What is said of objects stays while
// nothing else is known of them: Events are about what differs from it.
func wanted(have *v1alpha1.RuleStatus, report audit.Report) *v1alpha1.RuleStatus {
	want := have.DeepCopy()
	if report.Settles > 0 && have.ObservedGeneration == report.Generation {
		return want
	}
	want.ObservedGeneration = report.Generation
	if report.Settles == 0 {
		want.Summary = report.Summary
		want.Violations = nil
		for _, v := range report.Violations {
			want.Violations = append(want.Violations, v.Violation)
		}
	}
	condition := metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: report.Ready, ObservedGeneration: report.Generation,
		Reason: report.Reason, Message: status.Truncate(report.Message),
	}
	meta.SetStatusCondition(&want.Conditions, condition)
	if report.Stalled {
		condition.Type, condition.Status = v1alpha1.ConditionStalled, metav1.ConditionTrue
		meta.SetStatusCondition(&want.Conditions, condition)
	} else {
		meta.RemoveStatusCondition(&want.Conditions, v1alpha1.ConditionStalled)
	}
	return want
}

// setEnforced has a status say what became of the rule's policies. Without a
// report of the present generation it goes on saying what it did.
func setEnforced(want *v1alpha1.RuleStatus, report policy.Report) {
	want.Enforcement = report.Enforcement
	if report.Enforced == "" {
		meta.RemoveStatusCondition(&want.Conditions, v1alpha1.ConditionEnforced)
		return
	}
	meta.SetStatusCondition(&want.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionEnforced, Status: report.Enforced, ObservedGeneration: report.Generation,
		Reason: report.Reason, Message: status.Truncate(report.Message),
	})
}

// announce makes an Event of a rule that stopped or began to work, and one on
// each object that the status lists and did not list before. The status is
// written first: whoever leads next compares with it and repeats nothing.
func (r *Reconciler) announce(obj client.Object, report audit.Report, have, want *v1alpha1.RuleStatus) {
	before := meta.FindStatusCondition(have.Conditions, v1alpha1.ConditionReady)
	if before == nil || before.Reason != report.Reason {
		severity := corev1.EventTypeNormal
		if report.Ready == metav1.ConditionFalse {
			severity = corev1.EventTypeWarning
		}
		if report.Ready != metav1.ConditionUnknown {
			r.recorder.Eventf(obj, nil, severity, report.Reason, "Audit", "%s", status.Truncate(report.Message))
		}
	}
	r.announceEnforced(obj, have, want)
	if report.Summary != nil && int(report.Summary.Fail+report.Summary.Error) > len(want.Violations) {
		r.metrics.Truncations.WithLabelValues("violations").Inc()
	}
	for _, violation := range added(have.Violations, report.Violations) {
		said := announcement{obj.GetUID(), violation}
		by, again := r.announced.Get(said)
		if !again {
			by = referenceTo(obj)
			r.announced.Add(said, by)
		}
		reason := "Violation"
		if violation.Outcome == v1alpha1.OutcomeError {
			reason = "EvaluationError"
		}
		about := &corev1.ObjectReference{
			APIVersion: violation.APIVersion, Kind: violation.Kind, Namespace: violation.Namespace, Name: violation.Name,
			UID: violation.UID,
		}
		r.recorder.Eventf(about, by, corev1.EventTypeWarning, reason, "Audit",
			"%s %s (%s): %s", KeyOf(obj).Kind, obj.GetName(), report.Severity, violation.Message)
	}
}

func referenceTo(obj client.Object) *corev1.ObjectReference {
	key := KeyOf(obj)
	return &corev1.ObjectReference{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: key.Kind, Namespace: key.Namespace, Name: key.Name,
		UID: obj.GetUID(), ResourceVersion: obj.GetResourceVersion(),
	}
}

// announceEnforced makes an Event of a rule that is enforced from now on, or not
// any more.
func (r *Reconciler) announceEnforced(obj client.Object, have, want *v1alpha1.RuleStatus) {
	before, after := meta.FindStatusCondition(have.Conditions, v1alpha1.ConditionEnforced), meta.FindStatusCondition(want.Conditions, v1alpha1.ConditionEnforced)
	if after == nil || after.Status == metav1.ConditionUnknown || before != nil && before.Reason == after.Reason {
		return
	}
	severity, reason := corev1.EventTypeWarning, "Not"+v1alpha1.ConditionEnforced
	switch {
	case after.Status == metav1.ConditionTrue:
		severity, reason = corev1.EventTypeNormal, v1alpha1.ConditionEnforced
	case after.Reason == v1alpha1.ReasonSuspended:
		severity = corev1.EventTypeNormal
	}
	r.recorder.Eventf(obj, nil, severity, reason, "Enforce", "%s", after.Message)
}

// added lists the violations that are new, or say something new.
func added(have []v1alpha1.Violation, want []audit.Violation) []audit.Violation {
	known := make(map[v1alpha1.Violation]struct{}, len(have))
	for _, v := range have {
		known[v] = struct{}{}
	}
	var out []audit.Violation
	for _, v := range want {
		if _, ok := known[v.Violation]; !ok {
			out = append(out, v)
		}
	}
	return out
}

func (r *Reconciler) measure(key rule.Key, report audit.Report) {
	ready := 0.0
	if report.Ready == metav1.ConditionTrue {
		ready = 1
	}
	r.metrics.RuleReady.WithLabelValues(key.Kind, key.Namespace, key.Name).Set(ready)
	r.metrics.Findings.DeletePartialMatch(labels(key))
	if report.Summary == nil {
		return
	}
	for outcome, count := range map[v1alpha1.Outcome]int32{
		v1alpha1.OutcomePass: report.Summary.Pass, v1alpha1.OutcomeFail: report.Summary.Fail,
		v1alpha1.OutcomeError: report.Summary.Error, v1alpha1.OutcomeSkip: report.Summary.Skip,
	} {
		r.metrics.Findings.WithLabelValues(key.Kind, key.Namespace, key.Name, string(report.Severity), string(outcome)).Set(float64(count))
	}
}

// measureEnforced has no series of a rule that nobody wants enforced now. A rule of which
// it is not known yet counts as one that is not: it may stay so.
func (r *Reconciler) measureEnforced(key rule.Key, want *v1alpha1.RuleStatus) {
	condition := meta.FindStatusCondition(want.Conditions, v1alpha1.ConditionEnforced)
	series := r.metrics.RuleEnforced.WithLabelValues
	switch {
	case condition == nil, condition.Reason == v1alpha1.ReasonSuspended, condition.Reason == v1alpha1.ReasonUnlocked:
		r.metrics.RuleEnforced.DeletePartialMatch(labels(key))
	case condition.Status == metav1.ConditionTrue:
		series(key.Kind, key.Namespace, key.Name).Set(1)
	default:
		series(key.Kind, key.Namespace, key.Name).Set(0)
	}
}

func (r *Reconciler) forget(key rule.Key) {
	r.metrics.RuleEnforced.DeletePartialMatch(labels(key))
	r.metrics.RuleReady.DeletePartialMatch(labels(key))
	r.metrics.Findings.DeletePartialMatch(labels(key))
}

func labels(key rule.Key) map[string]string {
	return map[string]string{"kind": key.Kind, "namespace": key.Namespace, "name": key.Name}
}

package rule

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/util/workqueue"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/controllers/audit"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
	"github.com/mainstay-dev/mainstay/controller/internal/metrics"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/controller/internal/status"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// oneConfigMap are Objects with a ConfigMap, once that is listed.
type oneConfigMap struct{ phase informer.Phase }

var _ audit.Objects = (*oneConfigMap)(nil)

func (o *oneConfigMap) Handle(informer.Handler)      {}
func (o *oneConfigMap) Apply(string, informer.Wants) {}
func (o *oneConfigMap) Discovered() bool             { return true }

func (o *oneConfigMap) Resources() []informer.Resource {
	return []informer.Resource{{GroupVersionResource: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, Kind: "ConfigMap", Namespaced: true, Preferred: true}}
}

func (o *oneConfigMap) State(string, schema.GroupVersionResource) informer.State {
	return informer.State{Phase: o.phase, Message: "listing configmaps"}
}

func (o *oneConfigMap) Get(schema.GroupVersionResource, string, string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"namespace": "shop", "name": "a", "uid": "a"},
	}}
}

func (o *oneConfigMap) List(gvr schema.GroupVersionResource, _ string) []*unstructured.Unstructured {
	return []*unstructured.Unstructured{o.Get(gvr, "", "")}
}

// bed is a leader that has just started, and a rule as a former one left it.
type bed struct {
	*Reconciler
	client  client.Client
	engine  *audit.Engine
	changed chan rule.Key
	clock   *clocktesting.FakeClock
	events  *told
}

// told are the Events that were made, and what they are related to.
type told struct {
	reasons []string
	related []runtime.Object
}

func (e *told) Eventf(_, related runtime.Object, _, reason, _, _ string, _ ...any) {
	e.reasons = append(e.reasons, reason)
	e.related = append(e.related, related)
}

func newBed(t *testing.T, r *v1alpha1.ClusterRule, phase informer.Phase) *bed {
	t.Helper()
	scheme := runtime.NewScheme()
	compiler, err := expr.NewCompiler(10)
	if err := errors.Join(err, clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	m, err := metrics.New(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{
		clock: clocktesting.NewFakeClock(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)), events: &told{}, changed: make(chan rule.Key, 100),
	}
	b.client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(r).WithStatusSubresource(r).WithInterceptorFuncs(interceptor.Funcs{
		SubResourceApply: func(ctx context.Context, c client.Client, _ string, obj runtime.ApplyConfiguration, _ ...client.SubResourceApplyOption) error {
			content, _ := obj.(interface{ UnstructuredContent() map[string]any })
			var want, live v1alpha1.ClusterRule
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content.UnstructuredContent(), &want); err != nil {
				return err
			}
			if err := c.Get(ctx, client.ObjectKeyFromObject(&want), &live); err != nil {
				return err
			}
			live.Status = want.Status
			return c.Status().Update(ctx, &live)
		},
	}).Build()
	b.engine = audit.NewEngine(&oneConfigMap{phase}, compiler, b.clock, m)
	b.engine.OnChange(func(key rule.Key) { b.changed <- key })
	b.Reconciler = NewReconciler(b.client, b.engine, &Reports{}, status.NewWriter(b.client, b.events, m), b.events, m)
	b.engine.SetRule(KeyOf(r), r.UID, r.Generation, &r.Spec)
	ended := make(chan error)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	go func() { ended <- b.engine.Start(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	return b
}

// evaluated waits until the rule was.
func (b *bed) evaluated(t *testing.T, r *v1alpha1.ClusterRule) {
	t.Helper()
	for {
		if report, _ := b.engine.Report(KeyOf(r)); report.Summary != nil {
			return
		}
		select {
		case <-b.changed:
		case <-time.After(10 * time.Second):
			t.Fatal("waited in vain for the evaluation")
		}
	}
}

// reconcile returns the rule as it is afterwards, and after how long it is to be looked at again.
func (b *bed) reconcile(t *testing.T, r *v1alpha1.ClusterRule) (*v1alpha1.ClusterRule, time.Duration) {
	t.Helper()
	result, err := b.Reconcile(t.Context(), KeyOf(r))
	if err != nil {
		t.Fatal(err)
	}
	var after v1alpha1.ClusterRule
	if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(r), &after); err != nil {
		t.Fatal(err)
	}
	return &after, result.RequeueAfter
}

func (b *bed) expectEvents(t *testing.T, when string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, b.events.reasons); diff != "" {
		t.Errorf("Events %s (-want +got):\n%s", when, diff)
	}
	b.events.reasons = nil
}

func broken(generation int64) *v1alpha1.ClusterRule {
	return builders.MakeClusterRule("r").UID("r").Generation(generation).Match("", "v1", "configmaps").Modes(v1alpha1.ModeAudit).Validate("false", "no").Obj()
}

// A leader that starts cold has nothing to say of objects for a while. It neither takes back
// what a former one said nor says it again.
func TestStartIsNoNews(t *testing.T) {
	t.Parallel()
	former := newBed(t, broken(1), informer.Synced)
	former.evaluated(t, broken(1))
	before, _ := former.reconcile(t, broken(1))
	former.expectEvents(t, "at first", v1alpha1.ReasonSucceeded, "Violation")
	if before.Status.Summary == nil || before.Status.Summary.Fail != 1 || len(before.Status.Violations) != 1 {
		t.Fatalf("status %+v", before.Status)
	}

	reads := newBed(t, before.DeepCopy(), informer.Syncing)
	reads.clock.Step(time.Minute - time.Second)
	after, again := reads.reconcile(t, before)
	if diff := cmp.Diff(before, after); diff != "" || again != time.Second {
		t.Errorf("while it reads, again after %s (-want +got):\n%s", again, diff)
	}
	reads.expectEvents(t, "while it reads")

	// A list that keeps failing is shown.
	reads.clock.Step(time.Second)
	after, again = reads.reconcile(t, before)
	if ready := meta.FindStatusCondition(after.Status.Conditions, v1alpha1.ConditionReady); ready.Reason != v1alpha1.ReasonSyncing || after.Status.Summary != nil ||
		len(after.Status.Violations) > 0 || again != 0 {
		t.Errorf("after a while, again after %s: %+v", again, after.Status)
	}

	ready := newBed(t, before.DeepCopy(), informer.Synced)
	ready.evaluated(t, before)
	if after, _ = ready.reconcile(t, before); !cmp.Equal(before, after) {
		t.Errorf("once it has read (-want +got):\n%s", cmp.Diff(before, after))
	}
	ready.expectEvents(t, "once it has read")
}

// An edit is not evaluated at once. Meanwhile the status says so, and keeps the violations that
// Events are compared with.
func TestEditRepeatsNoViolation(t *testing.T) {
	t.Parallel()
	former := newBed(t, broken(1), informer.Synced)
	former.evaluated(t, broken(1))
	before, _ := former.reconcile(t, broken(1))

	edited := before.DeepCopy()
	edited.Generation = 2
	reads := newBed(t, edited.DeepCopy(), informer.Syncing)
	after, _ := reads.reconcile(t, edited)
	if ready := meta.FindStatusCondition(after.Status.Conditions, v1alpha1.ConditionReady); ready.Status != metav1.ConditionUnknown || ready.ObservedGeneration != 2 ||
		after.Status.ObservedGeneration != 2 {
		t.Errorf("while it reads: %+v", after.Status)
	}
	if diff := cmp.Diff(before.Status.Violations, after.Status.Violations); diff != "" {
		t.Errorf("violations while it reads (-want +got):\n%s", diff)
	}
	reads.expectEvents(t, "while it reads")

	ready := newBed(t, after.DeepCopy(), informer.Synced)
	ready.evaluated(t, after)
	ready.reconcile(t, after)
	ready.expectEvents(t, "once it has read", v1alpha1.ReasonSucceeded)
}

// A status that another leader wrote meanwhile is looked at, and so is a spec; nothing else is.
func TestStatusThatIsNotTheLeadersWakesIt(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*v1alpha1.ClusterRule)
		want   bool
	}{
		"another result":     {func(r *v1alpha1.ClusterRule) { r.Status.Summary = &v1alpha1.RuleSummary{Fail: 1} }, true},
		"another generation": {func(r *v1alpha1.ClusterRule) { r.Generation++ }, true},
		"made again":         {func(r *v1alpha1.ClusterRule) { r.UID = "another" }, true},
		"an annotation":      {func(r *v1alpha1.ClusterRule) { r.Annotations = map[string]string{"note": "x"} }, false},
	} {
		before := broken(1)
		before.Status.Summary = &v1alpha1.RuleSummary{Pass: 1}
		after := before.DeepCopy()
		tc.change(after)
		if got := woken().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after}); got != tc.want {
			t.Errorf("%s: %t, want %t", name, got, tc.want)
		}
	}
}

// A finding that flaps is related to the same, whatever version its rule has: client-go makes a
// series of that. It would make one of another message, too.
func TestFlappingFindingIsOneSeries(t *testing.T) {
	t.Parallel()
	b := newBed(t, broken(1), informer.Synced)
	say := func(version int, message string) runtime.Object {
		t.Helper()
		r := broken(1)
		r.ResourceVersion = fmt.Sprint(version)
		violation := audit.Violation{UID: "a", Violation: v1alpha1.Violation{Kind: "ConfigMap", Name: "a", Outcome: v1alpha1.OutcomeFail, Message: message}}
		report := audit.Report{Reason: v1alpha1.ReasonSucceeded, Violations: []audit.Violation{violation}}
		have := &v1alpha1.RuleStatus{Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady, Reason: v1alpha1.ReasonSucceeded}}}
		b.announce(r, report, have, have)
		b.expectEvents(t, message, "Violation")
		return b.events.related[len(b.events.related)-1]
	}
	want := &corev1.ObjectReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ClusterRule", Name: "r", UID: "r", ResourceVersion: "1"}
	for version := range 3 {
		if diff := cmp.Diff(want, say(version+1, "no")); diff != "" {
			t.Errorf("in version %d (-want +got):\n%s", version+1, diff)
		}
	}
	if got := say(4, "not at all"); cmp.Equal(want, got) {
		t.Errorf("another message is related to %v, too", got)
	}
}

// A rule is looked at a while after its status was written, however often that is: its findings
// may change without a rest.
func TestStatusesAreGathered(t *testing.T) {
	t.Parallel()
	clock := clocktesting.NewFakeClock(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	queue := workqueue.NewTypedRateLimitingQueueWithConfig(workqueue.DefaultTypedControllerRateLimiter[rule.Key](),
		workqueue.TypedRateLimitingQueueConfig[rule.Key]{Clock: clock})
	defer queue.ShutDown()
	r := broken(1)
	handler := gathered()
	handler.Create(t.Context(), event.TypedCreateEvent[client.Object]{Object: r}, queue)
	handler.Update(t.Context(), event.TypedUpdateEvent[client.Object]{ObjectOld: r, ObjectNew: r}, queue)
	handler.Delete(t.Context(), event.TypedDeleteEvent[client.Object]{Object: r}, queue)
	for !clock.HasWaiters() {
		time.Sleep(time.Millisecond)
	}
	clock.Step(gather - time.Millisecond)
	time.Sleep(10 * time.Millisecond)
	if n := queue.Len(); n != 0 {
		t.Errorf("%d rules are looked at at once", n)
	}
	clock.Step(time.Millisecond)
	if key, _ := queue.Get(); key != KeyOf(r) {
		t.Errorf("%s is looked at", key)
	}
	if n := queue.Len(); n != 0 {
		t.Errorf("it is looked at %d times more", n)
	}
}

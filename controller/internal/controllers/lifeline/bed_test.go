package lifeline

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/action"
	"github.com/mainstay-dev/mainstay/controller/internal/metrics"
	"github.com/mainstay-dev/mainstay/controller/internal/status"
	"github.com/mainstay-dev/mainstay/test/builders"
)

const (
	shop = "shop"
	own  = "mainstay-system"
)

// executor records what it is asked for.
type executor struct {
	done, refused []action.Claim
	resolved      []string

	claimed *v1alpha1.Intervention
	err     error
	open    bool
}

var _ Executor = (*executor)(nil)

func (e *executor) Do(_ context.Context, claim action.Claim) (*v1alpha1.Intervention, error) {
	e.done = append(e.done, claim)
	return e.claimed, e.err
}

func (e *executor) Refuse(_ context.Context, claim action.Claim, _ string) error {
	e.refused = append(e.refused, claim)
	return e.err
}

func (e *executor) Resolve(_ context.Context, iv *v1alpha1.Intervention) (bool, error) {
	e.resolved = append(e.resolved, iv.Name)
	return !e.open, nil
}

func (e *executor) Judge(context.Context, *v1alpha1.Intervention, v1alpha1.Verdict, string) error {
	return nil
}

// statuses records what is written, and answers with result.
type statuses struct {
	written []*v1alpha1.LifelineStatus
	result  status.Result
}

func (s *statuses) Write(_ context.Context, _ client.Object, _, want any) (status.Result, error) {
	s.written = append(s.written, want.(*v1alpha1.LifelineStatus).DeepCopy())
	return s.result, nil
}

// bed is a Reconciler between a cache and an API server that need not agree.
type bed struct {
	*Reconciler
	cached, live client.WithWatch
	executor     *executor
	statuses     *statuses
	clock        *clocktesting.FakePassiveClock
}

// pile is a Deployment web with both of its pods on worker-1, and room on worker-2.
func pile(l *v1alpha1.Lifeline) []client.Object {
	objs := []client.Object{
		builders.MakeNode("worker-1").Label("kubernetes.io/hostname", "worker-1").Ready(true).Obj(),
		builders.MakeNode("worker-2").Label("kubernetes.io/hostname", "worker-2").Ready(true).Obj(),
		builders.MakeDeployment(shop, "web").UID("web").Replicas(2).Obj(),
	}
	for _, name := range []string{"web-0", "web-1"} {
		objs = append(objs, builders.MakePod(shop, name).UID(types.UID("uid-"+name)).Label("app", "web").Node("worker-1").Ready(true).
			OwnedBy("apps/v1", "Deployment", "web", "web").Obj())
	}
	if l != nil {
		objs = append(objs, l)
	}
	return objs
}

func line() *builders.LifelineBuilder {
	return builders.MakeLifeline(shop, "web").UID("line").Select("app", "web").Heal(v1alpha1.HealAuto, 12)
}

// newBed has the cache hold cached and the API server live.
func newBed(t *testing.T, cached, live []client.Object) *bed {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	m, err := metrics.New(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{
		cached:   fake.NewClientBuilder().WithScheme(scheme).WithObjects(cached...).Build(),
		live:     fake.NewClientBuilder().WithScheme(scheme).WithObjects(live...).Build(),
		executor: &executor{claimed: &v1alpha1.Intervention{ObjectMeta: metav1.ObjectMeta{Name: "claimed"}}},
		statuses: &statuses{result: status.Written},
		clock:    clocktesting.NewFakePassiveClock(time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)),
	}
	b.Reconciler = New(Options{
		Client: b.cached, Reader: b.live, Executor: b.executor, Statuses: b.statuses, Recorder: events.NewFakeRecorder(100),
		Metrics: m, Clock: b.clock, Namespace: own,
	})
	return b
}

// watchLive has funcs see what the API server is asked for.
func (b *bed) watchLive(funcs interceptor.Funcs) {
	b.reader = interceptor.NewClient(b.live, funcs)
}

// look reconciles the Lifeline once, and returns the last status that was written.
func (b *bed) look(t *testing.T) (ctrl.Result, *v1alpha1.LifelineStatus) {
	t.Helper()
	result, err := b.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Namespace: shop, Name: "web"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(b.statuses.written) == 0 {
		return result, nil
	}
	return result, b.statuses.written[len(b.statuses.written)-1]
}

func healing(t *testing.T, s *v1alpha1.LifelineStatus) metav1.Condition {
	t.Helper()
	if s == nil {
		t.Fatal("no status was written")
	}
	c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionHealing)
	if c == nil {
		t.Fatalf("no condition Healing in %+v", s.Conditions)
	}
	return *c
}

// claim is an Intervention of a Lifeline with the UID that has no result yet.
func claim(name string, owner v1alpha1.OwnerReference) *v1alpha1.Intervention {
	return &v1alpha1.Intervention{
		ObjectMeta: metav1.ObjectMeta{Namespace: own, Name: name, Labels: map[string]string{
			v1alpha1.LabelOwnerKind: "Lifeline", v1alpha1.LabelOwnerNamespace: owner.Namespace,
		}},
		Spec: v1alpha1.InterventionSpec{
			Owner: owner, Action: v1alpha1.ActionEvict, Attempt: 1,
			Target: v1alpha1.TargetReference{APIVersion: "v1", Kind: "Pod", Namespace: shop, Name: name, UID: "uid", Workload: "Deployment/web"},
		},
	}
}

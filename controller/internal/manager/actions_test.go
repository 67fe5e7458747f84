package manager_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/action"
	"github.com/mainstay-dev/mainstay/controller/internal/controllers/intervention"
	"github.com/mainstay-dev/mainstay/controller/internal/metrics"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// executor acts with Mainstay's own rights.
func executor(t *testing.T, holder string, clk clock.PassiveClock, actions map[v1alpha1.Action]action.Action) *action.Executor {
	t.Helper()
	m, err := metrics.New(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	c := ownClient(t)
	if actions == nil {
		actions = map[v1alpha1.Action]action.Action{v1alpha1.ActionEvict: action.NewEvict(c, c)}
	}
	return action.NewExecutor(c, actions, ownNamespace, holder, clk, m)
}

func ownClient(t *testing.T) client.Client {
	t.Helper()
	cfg, err := shared.serviceAccount()
	if err != nil {
		t.Fatal(err)
	}
	cfg.QPS = -1
	c, err := client.New(cfg, client.Options{Scheme: shared.client.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// evictionOf is a claim of no Lifeline: what became of theirs the replicas of other tests
// find out.
func evictionOf(pod *corev1.Pod, attempt int32) action.Claim {
	return action.Claim{
		Owner:  v1alpha1.OwnerReference{Kind: "ClusterRule", Namespace: pod.Namespace, Name: "test", UID: types.UID(pod.Namespace)},
		Action: v1alpha1.ActionEvict, Attempt: attempt, Reason: "a test",
		Target: v1alpha1.TargetReference{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
	}
}

func budget(ns, name string) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: new(intstr.FromInt32(2)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		},
	}
}

func TestEachAnswerOfTheEvictionAPI(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		budgets     []string
		change      func(t *testing.T, pod *corev1.Pod)
		wantPhase   v1alpha1.Phase
		wantMessage string
		wantUnknown bool
	}{
		"accepted": {wantPhase: v1alpha1.PhaseDone, wantMessage: "accepted"},
		"gone": {
			change: func(t *testing.T, pod *corev1.Pod) {
				t.Helper()
				if err := shared.client.Delete(t.Context(), pod, client.GracePeriodSeconds(0)); err != nil {
					t.Fatal(err)
				}
			},
			wantPhase: v1alpha1.PhaseFailed, wantMessage: "the target is gone",
		},
		"another pod of its name": {
			change:    func(_ *testing.T, pod *corev1.Pod) { pod.UID = "00000000-0000-0000-0000-000000000000" },
			wantPhase: v1alpha1.PhaseFailed, wantMessage: "the target is gone",
		},
		"one budget that allows nothing": {
			budgets: []string{"strict"}, wantPhase: v1alpha1.PhaseFailed, wantMessage: "blocked by a PodDisruptionBudget",
		},
		"two budgets over one pod": {budgets: []string{"strict", "strict-too"}, wantUnknown: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := shared.namespace(t, nil)
			for _, b := range tc.budgets {
				shared.create(t, budget(ns, b))
			}
			d := builders.MakeDeployment(ns, "web").Replicas(2).Obj()
			pods := pile(t, d, "worker-3")
			// Of two budgets over one pod Kubernetes counts only one's pods when a
			// pod becomes ready, so there is no waiting for both.
			eventually(t, 10*time.Second, func(ctx context.Context) (bool, string) {
				if len(tc.budgets) != 1 {
					return true, ""
				}
				var list policyv1.PodDisruptionBudgetList
				if err := shared.client.List(ctx, &list, client.InNamespace(ns)); err != nil {
					return false, err.Error()
				}
				for i := range list.Items {
					if list.Items[i].Status.CurrentHealthy != 2 {
						return false, list.Items[i].Name + " has not counted the pods"
					}
				}
				return true, ""
			})
			pod := pods[0].DeepCopy()
			if tc.change != nil {
				tc.change(t, pod)
			}
			clk := clocktesting.NewFakePassiveClock(time.Now())
			e := executor(t, "answers", clk, nil)
			iv, err := e.Do(t.Context(), evictionOf(pod, 1))
			if iv == nil {
				t.Fatalf("no claim: %v", err)
			}
			t.Cleanup(func() { _ = shared.client.Delete(context.Background(), iv) })
			if !tc.wantUnknown {
				if err != nil || iv.Status.Phase != tc.wantPhase || !strings.Contains(iv.Status.Message, tc.wantMessage) {
					t.Errorf("%v, %+v; want phase %s and %q", err, iv.Status, tc.wantPhase, tc.wantMessage)
				}
				return
			}

			// The API server says 500: nobody knows yet, and nobody tries again
			// under this claim.
			if !apierrors.IsInternalError(err) || iv.Status.Phase != v1alpha1.PhaseClaimed {
				t.Fatalf("%v, %+v; want the API server's error and no result", err, iv.Status)
			}
			if resolved, err := e.Resolve(t.Context(), iv); resolved || err != nil {
				t.Errorf("resolved at once: %v", err)
			}
			clk.SetTime(time.Now().Add(2 * action.ClaimTimeout))
			if resolved, err := e.Resolve(t.Context(), iv); !resolved || err != nil || iv.Status.Phase != v1alpha1.PhaseFailed {
				t.Errorf("%v, %+v; want it Failed once the claim is too old to take effect", err, iv.Status)
			}
			if second, err := e.Do(t.Context(), evictionOf(pod, 1)); second != nil || err != nil {
				t.Errorf("the same attempt was claimed again: %v, %v", second, err)
			}
		})
	}
}

func TestOneOfManyClaimantsActs(t *testing.T) {
	t.Parallel()
	ns := shared.namespace(t, nil)
	pods := pile(t, builders.MakeDeployment(ns, "web").Replicas(2).Obj(), "worker-3")
	var wg sync.WaitGroup
	claims := make(chan *v1alpha1.Intervention, 20)
	for i := range cap(claims) {
		e := executor(t, fmt.Sprintf("claimant-%d", i), clock.RealClock{}, nil)
		wg.Go(func() {
			iv, err := e.Do(t.Context(), evictionOf(&pods[0], 1))
			if err != nil {
				t.Error(err)
			}
			claims <- iv
		})
	}
	wg.Wait()
	close(claims)
	won := 0
	for iv := range claims {
		if iv != nil {
			won++
		}
	}
	if won != 1 {
		t.Errorf("%d of %d claimants acted, want 1", won, cap(claims))
	}
	events, err := shared.AuditEvents()
	if err != nil {
		t.Fatal(err)
	}
	evictions := 0
	for i := range events {
		ref := events[i].ObjectRef
		if ref != nil && ref.Subresource == "eviction" && ref.Namespace == ns && events[i].Stage == "ResponseComplete" {
			evictions++
		}
	}
	if evictions != 1 {
		t.Errorf("the API server was asked for %d evictions, want 1", evictions)
	}
}

// slowClock lets a minute pass between the claim and the act, as a pause of
// the process does.
type slowClock struct {
	clock.PassiveClock
}

func (slowClock) Since(time.Time) time.Duration { return 2 * action.ClaimTimeout }

// forbidden fails the test when it is done.
type forbidden struct{ t *testing.T }

func (f forbidden) Do(context.Context, v1alpha1.TargetReference) error {
	f.t.Error("acted on a claim that is too old")
	return nil
}

func (forbidden) Seen(context.Context, v1alpha1.TargetReference) (bool, error) {
	return false, errors.New("not asked for")
}

func TestHolderThatWasPausedAfterItsClaimDoesNotAct(t *testing.T) {
	t.Parallel()
	pod := builders.MakePod(shared.namespace(t, nil), "web").UID("11111111-2222-3333-4444-555555555555").Obj()
	e := executor(t, "paused", slowClock{clock.RealClock{}}, map[v1alpha1.Action]action.Action{v1alpha1.ActionEvict: forbidden{t}})
	iv, err := e.Do(t.Context(), evictionOf(pod, 1))
	if iv == nil || err == nil || !strings.Contains(err.Error(), "not acting on it") {
		t.Fatalf("%+v, %v; want a claim and an error that says why nothing was done", iv, err)
	}
	t.Cleanup(func() { _ = shared.client.Delete(context.Background(), iv) })
	if _, err := e.Resolve(t.Context(), iv); err == nil || !strings.Contains(err.Error(), "not asked for") {
		t.Errorf("%v: what cannot be looked at must stay unresolved", err)
	}
}

func TestClaimThatWasResolvedUnderItsHolderIsNotActedOn(t *testing.T) {
	t.Parallel()
	// The holder stops between its claim and the second look at it; meanwhile
	// the next leader finds no effect and gives the claim up.
	pod := builders.MakePod(shared.namespace(t, nil), "web").UID("11111111-2222-3333-4444-777777777777").Obj()
	cfg, err := shared.serviceAccount()
	if err != nil {
		t.Fatal(err)
	}
	direct, err := client.NewWithWatch(cfg, client.Options{Scheme: shared.client.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	late := clocktesting.NewFakePassiveClock(time.Now().Add(2 * action.ClaimTimeout))
	next := executor(t, "next", late, map[v1alpha1.Action]action.Action{v1alpha1.ActionEvict: unseen{forbidden{t}}})
	stopped := interceptor.NewClient(direct, interceptor.Funcs{
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, obj client.Object, opts ...client.SubResourceUpdateOption) error {
			iv := &v1alpha1.Intervention{}
			if err := c.Get(ctx, client.ObjectKeyFromObject(obj), iv); err != nil {
				return err
			}
			if resolved, err := next.Resolve(ctx, iv); !resolved || err != nil {
				t.Errorf("the next leader did not resolve the claim: %v", err)
			}
			return c.SubResource(sub).Update(ctx, obj, opts...)
		},
	})
	m, err := metrics.New(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	holder := action.NewExecutor(stopped, map[v1alpha1.Action]action.Action{v1alpha1.ActionEvict: forbidden{t}}, ownNamespace, "stopped", clock.RealClock{}, m)
	iv, err := holder.Do(t.Context(), evictionOf(pod, 1))
	if iv == nil || !apierrors.IsConflict(err) {
		t.Fatalf("%+v, %v; want the claim and a conflict", iv, err)
	}
	t.Cleanup(func() { _ = shared.client.Delete(context.Background(), iv) })
	got, err := get(t.Context(), shared, iv.DeepCopy())
	if err != nil || got.Status.Phase != v1alpha1.PhaseFailed {
		t.Errorf("%+v, %v; want what the next leader wrote", got.Status, err)
	}
}

// unseen is an action whose effect nobody can see.
type unseen struct{ forbidden }

func (unseen) Seen(context.Context, v1alpha1.TargetReference) (bool, error) { return false, nil }

func TestInterventionIsDeletedAfterItsRetention(t *testing.T) {
	t.Parallel()
	pod := builders.MakePod(shared.namespace(t, nil), "web").UID("11111111-2222-3333-4444-666666666666").Obj()
	e := executor(t, "retention", clock.RealClock{}, nil)
	if err := e.Refuse(t.Context(), evictionOf(pod, 1), "only a test"); err != nil {
		t.Fatal(err)
	}
	name := types.NamespacedName{Namespace: ownNamespace, Name: evictionOf(pod, 1).Name()}
	clk := clocktesting.NewFakePassiveClock(time.Now())
	r := intervention.New(ownClient(t), clk, time.Hour)

	result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: name})
	if err != nil || result.RequeueAfter < 59*time.Minute || result.RequeueAfter > 61*time.Minute {
		t.Fatalf("%+v, %v; want to come back in an hour", result, err)
	}
	clk.SetTime(time.Now().Add(2 * time.Hour))
	for range 2 { // the second time it is gone already
		if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: name}); err != nil {
			t.Fatal(err)
		}
	}
	var iv v1alpha1.Intervention
	if err := shared.client.Get(t.Context(), name, &iv); !apierrors.IsNotFound(err) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestNameOfAClaim(t *testing.T) {
	t.Parallel()
	pod := builders.MakePod("ns", "web").UID("uid").Obj()
	base := evictionOf(pod, 1)
	if base.Name() != evictionOf(pod, 1).Name() {
		t.Error("the same action has two names")
	}
	for what, change := range map[string]func(*action.Claim){
		"attempt":   func(c *action.Claim) { c.Attempt = 2 },
		"owner":     func(c *action.Claim) { c.Owner.Name = "other" },
		"kind":      func(c *action.Claim) { c.Owner.Kind = "Rule" },
		"namespace": func(c *action.Claim) { c.Target.Namespace = "other" },
		"uid":       func(c *action.Claim) { c.Target.UID = "other" },
		"target":    func(c *action.Claim) { c.Target.Name = "other" },
	} {
		other := base
		change(&other)
		if other.Name() == base.Name() {
			t.Errorf("another %s has the same name %s", what, base.Name())
		}
	}
	long := base
	long.Owner.Name = strings.Repeat("a.", 120)
	if name := long.Name(); len(name) > 253 || strings.Contains(name, ".-") {
		t.Errorf("name %q", name)
	}
}

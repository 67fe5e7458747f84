package action

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/metrics"
)

// counted is an action that counts how often it is taken and looked for.
type counted struct{ done, seen int }

func (c *counted) Do(context.Context, v1alpha1.TargetReference) error {
	c.done++
	return nil
}

func (c *counted) Seen(context.Context, v1alpha1.TargetReference) (bool, error) {
	c.seen++
	return true, nil
}

// newTestExecutor writes to a store that funcs see the requests of.
func newTestExecutor(t *testing.T, act Action, funcs interceptor.Funcs) (*Executor, client.Client) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	m, err := metrics.New(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.Intervention{}).WithInterceptorFuncs(funcs).Build()
	return NewExecutor(c, map[v1alpha1.Action]Action{v1alpha1.ActionEvict: act}, "mainstay-system", "me", clock.RealClock{}, m), c
}

func move(looked time.Time) Claim {
	return Claim{
		Owner:  v1alpha1.OwnerReference{Kind: "Lifeline", Namespace: "shop", Name: "shop", UID: "shop"},
		Action: v1alpha1.ActionEvict, Attempt: 1, Reason: "a test", Looked: looked,
		Target: v1alpha1.TargetReference{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "shop-0", UID: "shop-0"},
	}
}

func interventions(t *testing.T, c client.Client) []v1alpha1.Intervention {
	t.Helper()
	var list v1alpha1.InterventionList
	if err := c.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// What was read too long ago is neither claimed nor acted on, however late the process
// comes to know that it was paused.
func TestAgeCountsFromTheReading(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		age, pause time.Duration
		wantClaims int
		wantDone   int
		wantError  string
	}{
		"fresh":                       {age: time.Second, wantClaims: 1, wantDone: 1},
		"of no known age":             {age: -1, wantClaims: 1, wantDone: 1},
		"read too long ago":           {age: actWithin, wantError: "not claiming it"},
		"too old once it was claimed": {age: actWithin - time.Second, pause: 1100 * time.Millisecond, wantClaims: 1, wantError: "not acting on it"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			act := &counted{}
			e, c := newTestExecutor(t, act, interceptor.Funcs{
				Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
					time.Sleep(tt.pause)
					return c.Create(ctx, obj, opts...)
				},
			})
			looked := time.Now().Add(-tt.age)
			if tt.age < 0 {
				looked = time.Time{}
			}
			_, err := e.Do(t.Context(), move(looked))
			if (err == nil) != (tt.wantError == "") || err != nil && !strings.Contains(err.Error(), tt.wantError) {
				t.Errorf("error %v, want %q", err, tt.wantError)
			}
			if claims := len(interventions(t, c)); claims != tt.wantClaims || act.done != tt.wantDone {
				t.Errorf("%d claims and %d acts, want %d and %d", claims, act.done, tt.wantClaims, tt.wantDone)
			}
		})
	}
}

// The record of a dry run that was cut short before its result is no claim.
func TestDryRunThatWasCutShortIsRefused(t *testing.T) {
	t.Parallel()
	act := &counted{}
	cut := true
	e, c := newTestExecutor(t, act, interceptor.Funcs{
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, obj client.Object, opts ...client.SubResourceUpdateOption) error {
			if cut {
				return errors.New("cut short")
			}
			return c.SubResource(sub).Update(ctx, obj, opts...)
		},
	})
	if err := e.Refuse(t.Context(), move(time.Time{}), "dry run: a test"); err == nil {
		t.Fatal("it was not cut short")
	}
	cut = false
	left := interventions(t, c)
	if len(left) != 1 || left[0].Labels[v1alpha1.LabelDryRun] != "true" || left[0].Status.Phase != "" {
		t.Fatalf("%+v, want one record that is marked and has no phase", left)
	}
	if resolved, err := e.Resolve(t.Context(), &left[0]); !resolved || err != nil {
		t.Errorf("resolved: %v, %v", resolved, err)
	}
	got := interventions(t, c)[0].Status
	if got.Phase != v1alpha1.PhaseRefused || !strings.HasPrefix(got.Message, "dry run") || act.done+act.seen > 0 {
		t.Errorf("%+v, the target was asked for %d times; want it Refused without", got, act.done+act.seen)
	}
	// A claim that is to be acted on has no such mark.
	other := move(time.Time{})
	other.Attempt = 2
	if iv, err := e.Do(t.Context(), other); err != nil || iv.Labels[v1alpha1.LabelDryRun] != "" {
		t.Errorf("%v, %v", iv, err)
	}
}

func TestVerdictKeepsItsEvidence(t *testing.T) {
	t.Parallel()
	e, c := newTestExecutor(t, &counted{}, interceptor.Funcs{})
	iv, err := e.Do(t.Context(), move(time.Time{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Judge(t.Context(), iv, v1alpha1.VerdictFutile, "c0ffee"); err != nil {
		t.Fatal(err)
	}
	got := interventions(t, c)[0].Status
	want := v1alpha1.InterventionStatus{
		Phase: v1alpha1.PhaseDone, Message: got.Message, CompletedAt: got.CompletedAt, Verdict: v1alpha1.VerdictFutile, Evidence: "c0ffee",
	}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

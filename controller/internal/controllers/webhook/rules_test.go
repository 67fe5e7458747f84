package webhook

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// stateOf are Objects of which pods are in one state, or not served.
type stateOf struct{ state informer.State }

func (stateOf) Handle(informer.Handler)      {}
func (stateOf) Discovered() bool             { return true }
func (s stateOf) Paths() []informer.Resource { return s.Resources() }

func (s stateOf) Resources() []informer.Resource {
	if s.state.Phase == informer.Absent {
		return nil
	}
	return []informer.Resource{{GroupVersionResource: schema.GroupVersionResource{Version: "v1", Resource: "pods"}, Kind: "Pod", Namespaced: true}}
}

func (s stateOf) State(string, schema.GroupVersionResource) informer.State { return s.state }

// A rule in force is not let go for what an API server says that has just started, and is
// in the end; one that was not in force yet refuses nobody meanwhile.
func TestUsableOutlastsAStart(t *testing.T) {
	t.Parallel()
	compiler, err := expr.NewCompiler(10)
	if err != nil {
		t.Fatal(err)
	}
	key := rule.Key{Kind: rule.KindClusterRule, Name: "counts"}
	compiled, mistakes := rule.Compile(compiler, key, 1, &builders.MakeClusterRule("counts").Modes(v1alpha1.ModeAdmission).
		Match("apps", "v1", "deployments").Refer("pods", "v1", "Pod").Validate("refs.pods.size() < 9", "").Obj().Spec)
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	clk := clocktesting.NewFakeClock(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	steps := []struct {
		phase   informer.Phase
		after   time.Duration
		inForce bool
		used    bool
		again   time.Duration
		reason  string
	}{
		{phase: informer.Forbidden, reason: v1alpha1.ReasonForbidden},
		{phase: informer.Absent, reason: v1alpha1.ReasonKindNotFound},
		{phase: informer.Syncing, reason: v1alpha1.ReasonSyncing},
		{phase: informer.Synced, used: true},
		{phase: informer.Syncing, inForce: true, used: true},
		{phase: informer.Forbidden, inForce: true, used: true, again: lasting},
		{phase: informer.Absent, after: lasting - time.Second, inForce: true, used: true, again: time.Second},
		{phase: informer.Forbidden, after: time.Second, inForce: true, reason: v1alpha1.ReasonForbidden},
		// Back, it has another minute.
		{phase: informer.Synced, inForce: true, used: true},
		{phase: informer.Forbidden, after: time.Hour, inForce: true, used: true, again: lasting},
	}
	r := New(Options{Clock: clk, Consumer: func(rule.Key) string { return "" }})
	for i, step := range steps {
		clk.Step(step.after)
		r.Objects = stateOf{informer.State{Phase: step.phase}}
		one := &ruled{key: key, rule: compiled, inForce: step.inForce}
		used := r.usable([]*ruled{one})
		if (len(used) == 1) != step.used || one.again > 0 && one.again != step.again || one.again <= 0 && step.again > 0 || one.report.Reason != step.reason {
			t.Errorf("step %d: used %v, again after %s, %q; want %t, %s, %q", i, used, one.again, one.report.Reason, step.used, step.again, step.reason)
		}
		if step.reason == v1alpha1.ReasonForbidden && one.report.Enforced != metav1.ConditionFalse {
			t.Errorf("step %d: Enforced=%s", i, one.report.Enforced)
		}
	}
}

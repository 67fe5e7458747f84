package webhook

import (
	"strings"
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

// stateOf are Objects of a few kinds, which are in one state, or not served.
type stateOf struct{ state informer.State }

func (stateOf) Handle(informer.Handler)       {}
func (stateOf) Discovered() bool              { return true }
func (stateOf) Complete() bool                { return true }
func (stateOf) Down(schema.GroupVersion) bool { return false }
func (s stateOf) Paths() []informer.Resource  { return s.Resources() }

// incomplete are Objects of which not all are known.
type incomplete struct{ stateOf }

func (incomplete) Complete() bool { return false }

// down are Objects of which nothing is known, as no group answers.
type down struct{ incomplete }

func (down) Down(schema.GroupVersion) bool  { return true }
func (down) Paths() []informer.Resource     { return nil }
func (down) Resources() []informer.Resource { return nil }

func (s stateOf) Resources() []informer.Resource {
	if s.state.Phase == informer.Absent {
		return nil
	}
	var out []informer.Resource
	for resource, kind := range map[string]string{"pods": "Pod", "services": "Service", "configmaps": "ConfigMap"} {
		out = append(out, informer.Resource{GroupVersionResource: schema.GroupVersionResource{Version: "v1", Resource: resource}, Kind: kind, Namespaced: true})
	}
	return out
}

// State is Synced for what a former generation wanted.
func (s stateOf) State(consumer string, _ schema.GroupVersionResource) informer.State {
	if consumer == "former" {
		return informer.State{Phase: informer.Synced}
	}
	return s.state
}

// compiledRule is a generation of a rule.
func compiledRule(t *testing.T, generation int64, of *builders.ClusterRuleBuilder) *rule.Rule {
	t.Helper()
	compiler, err := expr.NewCompiler(10)
	if err != nil {
		t.Fatal(err)
	}
	obj := of.Obj()
	compiled, mistakes := rule.Compile(compiler, rule.Key{Kind: rule.KindClusterRule, Name: obj.Name}, generation, &obj.Spec)
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	return compiled
}

// A rule in force is not let go for what an API server says that has just started, and is
// in the end; one that was not in force yet refuses nobody meanwhile.
func TestUsableOutlastsAStart(t *testing.T) {
	t.Parallel()
	compiled := compiledRule(t, 1, builders.MakeClusterRule("counts").Modes(v1alpha1.ModeAdmission).
		Match("apps", "v1", "deployments").Refer("pods", "v1", "Pod").Validate("refs.pods.size() < 9", ""))
	key := compiled.Key()
	clk := clocktesting.NewFakeClock(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	steps := []struct {
		phase           informer.Phase
		after           time.Duration
		inForce, before bool
		used            bool
		again           time.Duration
		reason          string
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
		{phase: informer.Synced, inForce: true, used: true},
		// Of a generation that never was nobody says that it is. A new leader keeps its
		// entry while it reads, for a minute.
		{phase: informer.Forbidden, before: true, reason: v1alpha1.ReasonForbidden},
		{phase: informer.Absent, before: true, reason: v1alpha1.ReasonKindNotFound},
		{phase: informer.Syncing, before: true, used: true, again: lasting, reason: v1alpha1.ReasonSyncing},
		{phase: informer.Syncing, after: lasting - time.Second, before: true, used: true, again: time.Second, reason: v1alpha1.ReasonSyncing},
		{phase: informer.Syncing, after: time.Second, before: true, reason: v1alpha1.ReasonSyncing},
	}
	r := New(Options{Clock: clk, Consumer: func(*rule.Rule) string { return "" }, InForce: func(rule.Key) *rule.Rule { return nil }})
	for i, step := range steps {
		clk.Step(step.after)
		r.Objects = stateOf{informer.State{Phase: step.phase}}
		one := &ruled{key: key, rule: compiled, inForce: step.inForce, before: step.before || step.inForce}
		used := r.usable([]*ruled{one})
		if (len(used) == 1) != step.used || one.again > 0 && one.again != step.again || one.again <= 0 && step.again > 0 || one.report.Reason != step.reason {
			t.Errorf("step %d: used %v, again after %s, %q; want %t, %s, %q", i, used, one.again, one.report.Reason, step.used, step.again, step.reason)
		}
		wantEnforced := map[string]metav1.ConditionStatus{"": "", v1alpha1.ReasonSyncing: metav1.ConditionUnknown}[step.reason]
		if step.reason != "" && wantEnforced == "" {
			wantEnforced = metav1.ConditionFalse
		}
		if one.report.Enforced != wantEnforced {
			t.Errorf("step %d: Enforced=%s, want %s", i, one.report.Enforced, wantEnforced)
		}
	}
}

// An outage of what a rule in force refers to is no reason to open its gate, however long it
// lasts: a leader that is new to it does not know what there was.
func TestUsableOutlastsAnOutage(t *testing.T) {
	t.Parallel()
	compiled := compiledRule(t, 1, builders.MakeClusterRule("counts").Modes(v1alpha1.ModeAdmission).
		Match("apps", "v1", "deployments").Refer("widgets", "example.com/v1", "Widget").Validate("refs.widgets.size() < 9", ""))
	key := compiled.Key()
	clk := clocktesting.NewFakeClock(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	r := New(Options{Clock: clk, Objects: down{}, Consumer: func(*rule.Rule) string { return "" }, InForce: func(rule.Key) *rule.Rule { return nil }})
	for range 3 {
		one := &ruled{key: key, rule: compiled, inForce: true, before: true}
		if used := r.usable([]*ruled{one}); len(used) != 1 || one.report.Enforced != "" {
			t.Errorf("after %s: used %v, %+v", clk.Since(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)), used, one.report)
		}
		clk.Step(lasting)
	}
	fresh := &ruled{key: key, rule: compiled}
	if used := r.usable([]*ruled{fresh}); len(used) != 0 || fresh.report.Enforced != metav1.ConditionUnknown {
		t.Errorf("a rule that was never in force: used %v, %+v", used, fresh.report)
	}
}

// An edit that refers to what cannot be read leaves what was in force, and says so: nobody is
// refused for it, and nobody is let in.
func TestUsableKeepsTheFormerGeneration(t *testing.T) {
	t.Parallel()
	compile := func(generation int64, kind string) *rule.Rule {
		return compiledRule(t, generation, builders.MakeClusterRule("counts").Modes(v1alpha1.ModeAdmission).
			Match("apps", "v1", "deployments").Refer("them", "v1", kind).Validate("refs.them.size() < 9", ""))
	}
	former := compile(1, "Pod")
	key := former.Key()
	for name, tc := range map[string]struct {
		kind         string
		phase        informer.Phase
		notBefore    bool
		wantFormer   bool
		wantEnforced metav1.ConditionStatus
		wantReason   string
	}{
		"a mistyped kind":    {"Pdo", informer.Synced, false, true, metav1.ConditionFalse, v1alpha1.ReasonKindNotFound},
		"one that is read":   {"Pod", informer.Synced, false, false, metav1.ConditionTrue, v1alpha1.ReasonSucceeded},
		"one to be read yet": {"Pod", informer.Syncing, false, true, metav1.ConditionUnknown, v1alpha1.ReasonSyncing},
		"one that may not":   {"Pod", informer.Forbidden, false, true, metav1.ConditionFalse, v1alpha1.ReasonForbidden},
		"of a new leader":    {"Pod", informer.Forbidden, true, true, metav1.ConditionFalse, v1alpha1.ReasonForbidden},
	} {
		second := compile(2, tc.kind)
		r := New(Options{
			Clock:    clocktesting.NewFakeClock(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)),
			Consumer: func(r *rule.Rule) string { return map[int64]string{1: "former", 2: ""}[r.Generation()] },
			InForce:  func(rule.Key) *rule.Rule { return former },
			Objects:  stateOf{informer.State{Phase: tc.phase}},
		})
		one := &ruled{key: key, rule: second, before: !tc.notBefore}
		used := r.usable([]*ruled{one})
		one.enforcedBy("an entry", true)
		one.pending("waits for something else")
		if len(used) != 1 || (used[0] == former) != tc.wantFormer {
			t.Errorf("%s: used %v", name, used)
		}
		keeps := strings.HasPrefix(one.report.Message, "not enforced as it is now, and what was before is left as it is: ")
		if one.report.Enforced != tc.wantEnforced || one.report.Reason != tc.wantReason || keeps != tc.wantFormer || r.kept.Has(key) != tc.wantFormer {
			t.Errorf("%s: kept %t, %+v", name, r.kept.Has(key), one.report)
		}
	}

	// A former one that cannot be judged by, either, has the minute that every rule has that
	// was in force, and one that was not has none.
	for _, before := range []bool{true, false} {
		r := New(Options{
			Clock:    clocktesting.NewFakeClock(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)),
			Consumer: func(*rule.Rule) string { return "" },
			InForce:  func(rule.Key) *rule.Rule { return former },
			Objects:  stateOf{informer.State{Phase: informer.Forbidden}},
		})
		if used := r.usable([]*ruled{{key: key, rule: compile(2, "Pdo"), before: before}}); (len(used) == 1) != before {
			t.Errorf("in force before: %t, used: %v", before, used)
		}
	}
}

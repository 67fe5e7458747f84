package audit

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// both is about ConfigMaps and Secrets, and none keeps it.
func both() *v1alpha1.ClusterRule {
	return builders.MakeClusterRule("r").Match("", "v1", "configmaps").Match("", "v1", "secrets").
		Modes(v1alpha1.ModeAudit).Validate("false", "no").Obj()
}

// referring is about ConfigMaps, and refers to Secrets.
func referring(namespaces string) *v1alpha1.ClusterRule {
	return builders.MakeClusterRule("r").Match("", "v1", "configmaps").Refer("s", "v1", "Secret", namespaces).
		Modes(v1alpha1.ModeAudit).Validate("size(refs.s) == 0", "no").Obj()
}

// A first result waits for each kind that is being listed, and for none that may not be read.
func TestFirstResultWaitsForLists(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		then informer.Phase
		want v1alpha1.RuleSummary
	}{
		"that end":              {informer.Synced, v1alpha1.RuleSummary{Fail: 3}},
		"that are refused":      {informer.Forbidden, v1alpha1.RuleSummary{Fail: 2}},
		"of what is not served": {informer.Absent, v1alpha1.RuleSummary{Fail: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(2).withSecret()
			s.phases[configMaps], s.phases[secrets] = informer.Syncing, informer.Syncing
			b := newBed(t, s, both())
			b.work(t)
			b.turns(configMaps, informer.Synced)
			b.work(t)
			if report, _ := b.Report(b.key); report.Summary != nil || report.Ready != metav1.ConditionUnknown {
				t.Errorf("while Secrets are being listed: Ready=%s, %+v", report.Ready, report.Summary)
			}
			b.turns(secrets, tc.then)
			b.work(t)
			b.expect(t, "afterwards", tc.want)
		})
	}
}

// A kind is synced before the engine is told so. An evaluation of others in between does not
// pass for one of it.
func TestKindThatIsSyncedBeforeItIsTold(t *testing.T) {
	t.Parallel()
	s := newStore(2).withSecret()
	s.phases[secrets] = informer.Forbidden
	b := newBed(t, s, both())
	b.work(t)
	b.expect(t, "of what may be read", v1alpha1.RuleSummary{Fail: 2})

	s.phases[secrets] = informer.Synced
	b.ObjectChanged(configMaps, s.maps[0], s.maps[0])
	b.turn(t)
	b.StateChanged(secrets)
	b.work(t)
	b.expect(t, "of all", v1alpha1.RuleSummary{Fail: 3})
}

// What changes while a rule waits to be evaluated is not gathered: all is evaluated then.
func TestBlockedRuleGathersNothing(t *testing.T) {
	t.Parallel()
	for _, namespaces := range []string{v1alpha1.NamespacesAll, v1alpha1.NamespacesSame} {
		t.Run(namespaces, func(t *testing.T) {
			t.Parallel()
			s := newStore(2)
			s.phases[secrets] = informer.Forbidden
			b := newBed(t, s, referring(namespaces))
			b.work(t)
			for i := range 9 {
				gone := object("ConfigMap", fmt.Sprintf("gone-%d", i))
				b.ObjectChanged(configMaps, nil, gone)
				b.ObjectChanged(configMaps, gone, nil)
				b.ObjectChanged(secrets, nil, object("Secret", "s"))
				b.work(t)
			}
			if p := b.rules[b.key].pending; !p.all || len(p.objects) > 0 || len(p.namespaces) > 0 {
				t.Errorf("all: %t, and %d objects and %d namespaces are pending", p.all, len(p.objects), len(p.namespaces))
			}
			b.turns(secrets, informer.Synced)
			b.work(t)
			b.expect(t, "in the end", v1alpha1.RuleSummary{Pass: 2})
		})
	}
}

// Nothing is said of objects while it is not known what holds of them, and nobody takes a rule
// that cannot be evaluated for one that all keep. What comes back is not shown in part.
func TestWhatCannotBeEvaluatedIsNotReported(t *testing.T) {
	t.Parallel()
	only := builders.MakeClusterRule("r").Match("", "v1", "secrets").Modes(v1alpha1.ModeAudit).Validate("false", "no").Obj()
	for name, tc := range map[string]struct {
		rule  *v1alpha1.ClusterRule
		phase informer.Phase
		want  v1alpha1.RuleSummary
		// while it is in that phase
		wantThen *v1alpha1.RuleSummary
	}{
		"the only kind is forbidden":      {only, informer.Forbidden, v1alpha1.RuleSummary{Fail: 1}, nil},
		"the only kind is gone":           {only, informer.Absent, v1alpha1.RuleSummary{Fail: 1}, nil},
		"the only kind is listed anew":    {only, informer.Syncing, v1alpha1.RuleSummary{Fail: 1}, &v1alpha1.RuleSummary{Fail: 1}},
		"one of two is forbidden":         {both(), informer.Forbidden, v1alpha1.RuleSummary{Fail: 3}, &v1alpha1.RuleSummary{Fail: 2}},
		"a referenced one is forbidden":   {referring("All"), informer.Forbidden, v1alpha1.RuleSummary{Fail: 2}, nil},
		"a referenced one is gone":        {referring("All"), informer.Absent, v1alpha1.RuleSummary{Fail: 2}, nil},
		"a referenced one is listed anew": {referring("All"), informer.Syncing, v1alpha1.RuleSummary{Fail: 2}, &v1alpha1.RuleSummary{Fail: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(2).withSecret()
			b := newBed(t, s, tc.rule)
			b.work(t)
			b.expect(t, "at first", tc.want)

			told := 0
			b.turns(secrets, tc.phase)
			b.OnChange(func(rule.Key) { told++ })
			b.work(t)
			report, _ := b.Report(b.key)
			if diff := cmp.Diff(tc.wantThen, report.Summary); diff != "" || tc.wantThen == nil && len(report.Violations) > 0 {
				t.Errorf("meanwhile (-want +got):\n%s%v", diff, report.Violations)
			}
			if changes := cmp.Diff(&tc.want, tc.wantThen) != ""; changes != (told > 0) {
				t.Errorf("told of %d changes", told)
			}
			b.turns(secrets, informer.Synced)
			if diff := cmp.Diff(tc.wantThen, b.summary()); diff != "" {
				t.Errorf("before it is evaluated again (-want +got):\n%s", diff)
			}
			b.work(t)
			b.expect(t, "in the end", tc.want)
		})
	}
}

// A kind that is not served any more for a while brings back what it was evaluated to before
// no sooner than it is evaluated again.
func TestKindThatGoesAndComesIsEvaluatedAnew(t *testing.T) {
	t.Parallel()
	s := newStore(2).withSecret()
	b := newBed(t, s, referring("All"))
	b.work(t)
	b.expect(t, "at first", v1alpha1.RuleSummary{Fail: 2})

	s.unserved = true
	b.ResourcesChanged()
	b.work(t)
	s.unserved, s.secrets = false, []*unstructured.Unstructured{}
	b.ResourcesChanged()
	if got := b.summary(); got != nil {
		t.Errorf("before it is evaluated again: %+v", got)
	}
	b.work(t)
	b.expect(t, "in the end", v1alpha1.RuleSummary{Pass: 2})
}

// A kind whose list fails for good holds the results of others back for a minute, and no longer.
func TestFirstResultWaitsForAMinute(t *testing.T) {
	t.Parallel()
	s := newStore(2).withSecret()
	s.phases[secrets] = informer.Syncing
	b := newBed(t, s, both())
	b.work(t)
	if report, _ := b.Report(b.key); report.Summary != nil || report.Settles != time.Minute {
		t.Errorf("at first: %+v, for %s", report.Summary, report.Settles)
	}
	for _, c := range []*clocktesting.FakeClock{b.now, b.tick} {
		c.Step(time.Minute)
	}
	if !b.turn(t) {
		t.Fatal("nothing brought the rule back")
	}
	b.work(t)
	b.expect(t, "after a minute", v1alpha1.RuleSummary{Fail: 2})
	if report, _ := b.Report(b.key); report.Ready != metav1.ConditionUnknown || report.Settles != 0 {
		t.Errorf("after a minute: Ready=%s, for %s", report.Ready, report.Settles)
	}
	b.turns(secrets, informer.Synced)
	b.work(t)
	b.expect(t, "of all", v1alpha1.RuleSummary{Fail: 3})
}

// What is about to be found settles, whatever else of the rule may not be read.
func TestSettlesWhileSomethingIsListed(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		maps, secrets informer.Phase
		want          time.Duration
	}{
		"both are listed":   {informer.Syncing, informer.Syncing, time.Minute},
		"one is forbidden":  {informer.Syncing, informer.Forbidden, time.Minute},
		"one is not served": {informer.Syncing, informer.Absent, time.Minute},
		"both are":          {informer.Forbidden, informer.Absent, 0},
		"both are there":    {informer.Synced, informer.Synced, 0},
	} {
		s := newStore(1)
		s.phases[configMaps], s.phases[secrets] = tc.maps, tc.secrets
		b := newBed(t, s, both())
		b.work(t)
		if report, _ := b.Report(b.key); report.Settles != tc.want {
			t.Errorf("%s: %s, want %s", name, report.Settles, tc.want)
		}
	}
}

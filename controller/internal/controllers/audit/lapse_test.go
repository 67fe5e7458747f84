package audit

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// excepted has a rule that no ConfigMap keeps, with an exception for each of them.
func excepted(t *testing.T, s *store, after time.Duration) *bed {
	t.Helper()
	end := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC).Add(after)
	r := builders.MakeClusterRule("r").Match("", "v1", "configmaps").Modes(v1alpha1.ModeAudit).Validate("false", "no")
	for _, m := range s.maps {
		r.Except("ns", m.GetName(), "for now").Until(end)
	}
	return newBed(t, s, r.Obj())
}

func (b *bed) expect(t *testing.T, when string, want v1alpha1.RuleSummary) {
	t.Helper()
	if diff := cmp.Diff(&want, b.summary()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

func TestExceptionLapsesAlthoughAClockWasSetBack(t *testing.T) {
	t.Parallel()
	b := excepted(t, newStore(3), 10*time.Second)
	b.turn(t)
	b.expect(t, "at first", v1alpha1.RuleSummary{Skip: 3})

	b.now.Step(5 * time.Second)
	b.tick.Step(10 * time.Second) // the queue's time is up, and the exception holds by the clock
	if !b.turn(t) {
		t.Fatal("the rule did not come back")
	}
	b.expect(t, "too early", v1alpha1.RuleSummary{Skip: 3})

	b.now.Step(5 * time.Second)
	b.tick.Step(5 * time.Second)
	if !b.turn(t) {
		t.Fatal("the rule did not come back a second time")
	}
	b.expect(t, "when it lapses", v1alpha1.RuleSummary{Fail: 3})
}

func TestExceptionLapsesDuringAPass(t *testing.T) {
	t.Parallel()
	s := newStore(4)
	s.takes.Store(int64(60 * time.Millisecond)) // two of them are a slice
	b := excepted(t, s, 10*time.Second)
	b.turn(t)
	b.now.Step(20 * time.Second)
	for b.summary() == nil {
		if !b.turn(t) {
			t.Fatal("no result")
		}
	}
	s.takes.Store(0)
	b.work(t)
	b.expect(t, "in the end", v1alpha1.RuleSummary{Fail: 4})
}

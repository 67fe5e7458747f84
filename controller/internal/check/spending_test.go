package check_test

import (
	"slices"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
)

// second is a clock by which everything takes a second.
type second struct{}

func (second) Now() time.Time                { return time.Unix(0, 0) }
func (second) Since(time.Time) time.Duration { return time.Second }

func TestRulesMayTakeAMinuteInAll(t *testing.T) {
	t.Parallel()
	of := func(n int) string { return "\n" + deployments(slices.Repeat([]int{2}, n)...) }
	const labelled = "    objectSelector: {matchLabels: {app: web}}\n"
	for name, tc := range map[string]struct {
		text string
		want string
	}{
		"a minute": {text: ruleText("r", "", "true") + of(30)},
		"more": {
			text: ruleText("few", labelled, "true") + "\n---" + ruleText("most", "", "true") + web + of(40),
			want: "the expressions of all rules took longer than 1m0s, which is the most that one run gives them: ClusterRule most took 59s of it; make it cheaper, or check fewer paths at once",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checker, err := check.New(check.Options{Clock: second{}})
			if err != nil {
				t.Fatal(err)
			}
			// One path is within the minute, and a second one counts.
			if _, err := checker.Check(t.Context(), "a", rendered(t, tc.text)); err != nil {
				t.Fatal(err)
			}
			got := ""
			if _, err := checker.Check(t.Context(), "b", rendered(t, tc.text)); err != nil {
				got = err.Error()
			}
			if got != tc.want {
				t.Errorf("got %q\nwant %q", got, tc.want)
			}
		})
	}
}

package manager

import (
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

// A kind that cannot be listed keeps a new replica from reviews for a minute at most.
func TestFirstReadIsBounded(t *testing.T) {
	t.Parallel()
	clk := clocktesting.NewFakeClock(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	synced := false
	read := func() *firstRead {
		return &firstRead{synced: func() bool { return synced }, clock: clk, since: clk.Now()}
	}
	never, soon := read(), read()
	if never.check() == nil {
		t.Error("nothing is read, and the replica is asked")
	}
	synced = true
	if err := soon.check(); err != nil {
		t.Errorf("all is read: %v", err)
	}
	synced = false
	if err := soon.check(); err != nil {
		t.Errorf("all was read once, and a rule came: %v", err)
	}
	clk.Step(readPatience)
	if never.check() == nil {
		t.Error("the minute is not over")
	}
	clk.Step(time.Nanosecond)
	if err := never.check(); err != nil {
		t.Errorf("after a minute: %v", err)
	}
}

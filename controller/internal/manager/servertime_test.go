package manager

import (
	"net/http"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

func TestServerTimeFollowsTheAPIServer(t *testing.T) {
	t.Parallel()
	local := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		date string
		took time.Duration
		want time.Duration
	}{
		"the same clock":          {date: local.Format(http.TimeFormat), want: 0},
		"within what is told":     {date: local.Add(-2 * time.Second).Format(http.TimeFormat), want: 0},
		"a minute behind":         {date: local.Add(-time.Minute).Format(http.TimeFormat), want: -time.Minute + time.Second/2},
		"a minute ahead":          {date: local.Add(time.Minute).Format(http.TimeFormat), want: time.Minute + time.Second/2},
		"in the middle of a wait": {date: local.Add(time.Minute).Format(http.TimeFormat), took: time.Second, want: time.Minute},
		"too slow to tell":        {date: local.Add(time.Minute).Format(http.TimeFormat), took: 3 * time.Second, want: 0},
		"no date":                 {want: 0},
		"no date at all":          {date: "yesterday", want: 0},
	} {
		clk := clocktesting.NewFakeClock(local)
		s := &serverTime{WithTicker: clk}
		s.heard(tc.date, local, local.Add(tc.took))
		if got := s.Now().Sub(local); got != tc.want {
			t.Errorf("%s: ahead by %s, want %s", name, got, tc.want)
		}
		if got := s.Since(local.Add(-time.Hour)); got != time.Hour+tc.want {
			t.Errorf("%s: an hour ago is %s ago", name, got)
		}
	}

	// It recovers when the clocks agree again.
	s := &serverTime{WithTicker: clocktesting.NewFakeClock(local)}
	s.heard(local.Add(time.Hour).Format(http.TimeFormat), local, local)
	s.heard(local.Format(http.TimeFormat), local, local)
	if !s.Now().Equal(local) {
		t.Errorf("still off by %s", s.Now().Sub(local))
	}
}

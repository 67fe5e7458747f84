package informer

import (
	"errors"
	"testing"
	"time"
)

// A group that is down for good has not all that is served asked for every few seconds for
// ever. What is about to be forgotten is asked for as often as ever.
func TestPauseBetweenDiscoveries(t *testing.T) {
	t.Parallel()
	var pause time.Duration
	for i, step := range []struct {
		missed, partial bool
		err             error
		want            time.Duration
	}{
		{},
		{partial: true, want: retryDiscovery},
		{partial: true, want: 2 * retryDiscovery},
		{partial: true, want: 4 * retryDiscovery},
		{partial: true, want: 8 * retryDiscovery},
		{partial: true, want: maxRetryDiscovery},
		{partial: true, want: maxRetryDiscovery},
		{missed: true, partial: true, want: retryDiscovery},
		{partial: true, want: 2 * retryDiscovery},
		{},
		{partial: true, want: retryDiscovery},
		{missed: true, want: retryDiscovery},
		{missed: true, want: retryDiscovery},
		{err: errors.New("no answer"), want: retryDiscovery},
		{err: errors.New("no answer"), want: retryDiscovery},
	} {
		if pause = pauseAfter(pause, step.missed, step.partial, step.err); pause != step.want {
			t.Errorf("step %d: again after %s, want %s", i, pause, step.want)
		}
	}
}

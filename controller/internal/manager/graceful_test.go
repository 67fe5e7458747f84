package manager

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-logr/logr"
	testclock "k8s.io/utils/clock/testing"
	ctrlmanager "sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/mainstay-dev/mainstay/controller/internal/health"
)

// managerFunc is a manager of which only Start is used.
type managerFunc struct {
	ctrlmanager.Manager
	start func(ctx context.Context) error
}

func (m managerFunc) Start(ctx context.Context) error { return m.start(ctx) }

func sendsAway(d *health.Drainer) bool {
	recorder := httptest.NewRecorder()
	d.Middleware(http.NotFoundHandler()).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	return recorder.Header().Get("Connection") == "close"
}

func TestGracefulStop(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		drain time.Duration
		// lost has the manager end by itself.
		lost     error
		wantWait bool
		want     error
	}{
		"callers leave first":      {drain: 10 * time.Second, wantWait: true},
		"without a drain":          {},
		"a lost lease ends it now": {drain: 10 * time.Second, lost: errors.New("leader election lost"), want: errors.New("leader election lost")},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := testclock.NewFakeClock(time.Now())
			drainer := &health.Drainer{}
			lose := make(chan struct{})
			g := &gracefully{drainer: drainer, drain: tc.drain, clock: clock, log: logr.Discard(), Manager: managerFunc{start: func(ctx context.Context) error {
				select {
				case <-ctx.Done():
					return nil
				case <-lose:
					return tc.lost
				}
			}}}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- g.Start(ctx) }()
			if tc.lost != nil {
				close(lose)
			} else {
				if drainer.Check() != nil {
					t.Error("drains before it was told to stop")
				}
				cancel()
			}
			defer cancel()
			if tc.wantWait {
				for clock.Waiters() < 2 {
					time.Sleep(time.Millisecond)
				}
				if drainer.Check() == nil {
					t.Error("does not drain")
				}
				clock.Step(tc.drain/unheard - time.Second)
				time.Sleep(100 * time.Millisecond)
				if sendsAway(drainer) {
					t.Error("callers are sent away before the Service can have heard of it")
				}
				clock.Step(tc.drain - tc.drain/unheard)
				select {
				case <-done:
					t.Error("ended before the drain was over")
				case <-time.After(100 * time.Millisecond):
				}
				if !sendsAway(drainer) {
					t.Error("callers are not sent away")
				}
				clock.Step(time.Second)
			}
			select {
			case err := <-done:
				if (err == nil) != (tc.want == nil) || err != nil && err.Error() != tc.want.Error() {
					t.Errorf("ended with %v, want %v", err, tc.want)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("did not end")
			}
		})
	}
}

package manager

import (
	"context"
	"errors"
	"net"
	"net/http"
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

func TestGracefulStop(t *testing.T) {
	t.Parallel()
	lost := errors.New("leader election lost")
	tests := map[string]struct {
		drain time.Duration
		// ends is why the manager ends by itself; nil where it is told to.
		ends error
		// told says that it is told to stop before.
		told bool
		// led says that it was the leader a moment ago.
		led      bool
		wantWait bool
	}{
		"callers leave first":                    {drain: 10 * time.Second, wantWait: true},
		"without a drain":                        {},
		"callers leave who lost its lease":       {drain: 10 * time.Second, ends: lost, led: true, wantWait: true},
		"a lost lease, without a drain":          {ends: lost, led: true},
		"one that leads no more while it drains": {drain: 10 * time.Second, told: true, ends: lost, led: true, wantWait: true},
		"one that was paused while it drains":    {drain: 10 * time.Second, told: true, ends: lost},
		"what was no leader lately ends at once": {drain: 10 * time.Second, ends: lost},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := testclock.NewFakeClock(time.Now())
			drainer := &health.Drainer{}
			end := make(chan struct{})
			listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			server := &ctrlmanager.Server{Listener: listener, Server: &http.Server{Handler: drainer.Middleware(http.NotFoundHandler())}}
			g := &gracefully{
				servers: []*ctrlmanager.Server{server}, drainer: drainer, drain: tc.drain, clock: clock, log: logr.Discard(), led: func() bool { return tc.led },
				Manager: managerFunc{start: func(ctx context.Context) error {
					select {
					case <-ctx.Done():
						return nil
					case <-end:
						return tc.ends
					}
				}},
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- g.Start(ctx) }()
			if drainer.Check() != nil {
				t.Error("drains before it was told to stop")
			}
			if tc.told || tc.ends == nil {
				cancel()
			}
			if tc.told {
				for clock.Waiters() < 2 {
					time.Sleep(time.Millisecond)
				}
			}
			if tc.ends != nil {
				close(end)
			}
			if tc.wantWait {
				drains(t, clock, drainer, tc.drain, "http://"+listener.Addr().String(), done)
			}
			select {
			case err := <-done:
				if (err == nil) != (tc.ends == nil) || err != nil && err.Error() != tc.ends.Error() {
					t.Errorf("ended with %v, want %v", err, tc.ends)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("did not end")
			}
			if _, err := ask(t, "http://"+listener.Addr().String()); err == nil {
				t.Error("it ended, and takes requests")
			}
		})
	}
}

// drains follows one drain to its end.
func drains(t *testing.T, clock *testclock.FakeClock, drainer *health.Drainer, drain time.Duration, url string, done <-chan error) {
	t.Helper()
	for clock.Waiters() < 2 {
		time.Sleep(time.Millisecond)
	}
	if drainer.Check() == nil {
		t.Error("does not drain")
	}
	clock.Step(drain/unheard - time.Second)
	time.Sleep(100 * time.Millisecond)
	if away, err := ask(t, url); err != nil || away {
		t.Errorf("before the Service can have heard of it: callers are sent away %t, %v", away, err)
	}
	clock.Step(drain - drain/unheard)
	select {
	case <-done:
		t.Error("ended before the drain was over")
	case <-time.After(100 * time.Millisecond):
	}
	if away, err := ask(t, url); err != nil || !away {
		t.Errorf("callers are sent away %t, %v", away, err)
	}
	clock.Step(time.Second)
}

// ask sends a request, and says whether whoever answers wants to be called anew.
func ask(t *testing.T, url string) (away bool, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return false, err
	}
	_ = resp.Body.Close()
	return resp.Close, nil
}

// TestServerThatFailsEndsAll: nobody is left to say that the replica is not ready.
func TestServerThatFailsEndsAll(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	g := &gracefully{
		servers: []*ctrlmanager.Server{{Listener: listener, Server: &http.Server{}}},
		drainer: &health.Drainer{}, drain: time.Hour, clock: testclock.NewFakeClock(time.Now()), log: logr.Discard(),
		Manager: managerFunc{start: func(ctx context.Context) error { <-ctx.Done(); return nil }},
	}
	if err := g.Start(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ended with %v", err)
	}
}

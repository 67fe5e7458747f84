package manager

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/util/flowcontrol"
)

// silent is a Lease of an API server that may not answer.
type silent struct {
	resourcelock.Interface
	silent bool
}

func (s *silent) Identity() string { return "mainstay-0" }
func (s *silent) Describe() string { return "mainstay-system/mainstay" }

func (s *silent) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	if s.silent {
		<-ctx.Done()
		return nil, nil, ctx.Err()
	}
	return &resourcelock.LeaderElectionRecord{HolderIdentity: s.Identity()}, nil, nil
}

func (s *silent) Update(ctx context.Context, _ resourcelock.LeaderElectionRecord) error {
	if s.silent {
		<-ctx.Done()
	}
	return ctx.Err()
}

// A leader that could not renew its Lease has it released before it stops acting: with an API
// server that does not answer that must not take longer than another replica needs to lead.
func TestLateLeaderGivesUpSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &silent{}
		lock := &guardedLock{Interface: server, log: logr.Discard(), deadline: 10 * time.Second, hurry: time.Second}
		took := func() time.Duration {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			began := time.Now()
			_, _, _ = lock.Get(ctx)
			_ = lock.Update(ctx, resourcelock.LeaderElectionRecord{})
			return time.Since(began)
		}
		// A process that starts anew has the name of the one before it.
		if _, _, err := lock.Get(t.Context()); err != nil {
			t.Fatal(err)
		}
		server.silent = true
		if got := took(); got < 10*time.Second {
			t.Errorf("who has not led yet waits %s, want all of the time", got)
		}
		server.silent = false
		if err := lock.Update(t.Context(), resourcelock.LeaderElectionRecord{HolderIdentity: "mainstay-0"}); err != nil {
			t.Fatal(err)
		}
		server.silent = true
		time.Sleep(9 * time.Second)
		if got := took(); got < 10*time.Second {
			t.Errorf("a leader that may still renew waits %s, want all of the time", got)
		}
		if got := took(); got > 2*lock.hurry {
			t.Errorf("a leader that is late waits %s, want at most %s", got, 2*lock.hurry)
		}
	})
}

// neverAllows is a rate limit that LISTs have used up.
type neverAllows struct{ flowcontrol.RateLimiter }

func (neverAllows) Wait(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// The Lease is renewed however much the program has to read.
func TestLeaseWaitsForNoOtherRequest(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "mainstay"}, "spec": {"holderIdentity": "mainstay-0"}}`)
	}))
	t.Cleanup(server.Close)
	opts := Default()
	opts.PodName, opts.Log = "mainstay-0", logr.Discard()
	lock, err := newLock(&rest.Config{Host: server.URL, RateLimiter: neverAllows{}}, opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	record, _, err := lock.Get(ctx)
	if err == nil {
		err = lock.Update(ctx, *record)
	}
	if err != nil {
		t.Error(err)
	}
}

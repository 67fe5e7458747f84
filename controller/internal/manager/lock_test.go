package manager

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
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

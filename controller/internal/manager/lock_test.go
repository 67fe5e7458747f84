package manager

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/util/flowcontrol"
)

// overtaken is a Lease that a renewal is written to after it was read to be released.
type overtaken struct {
	resourcelock.Interface
	holders []string // as they are read, one after the other
	written []string
}

func (o *overtaken) Identity() string { return "mainstay-0" }
func (o *overtaken) Describe() string { return "mainstay-system/mainstay" }

func (o *overtaken) Get(context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	holder := o.holders[0]
	o.holders = o.holders[1:]
	return &resourcelock.LeaderElectionRecord{HolderIdentity: holder}, nil, nil
}

func (o *overtaken) Update(_ context.Context, record resourcelock.LeaderElectionRecord) error {
	if o.written = append(o.written, record.HolderIdentity); len(o.written) == 1 {
		return apierrors.NewConflict(schema.GroupResource{Resource: "leases"}, "mainstay", errors.New("the object has been modified"))
	}
	return nil
}

// A leader that stops releases its Lease though a renewal of its own came between, and not
// where it was another replica that did.
func TestReleaseIsTriedOnceMore(t *testing.T) {
	t.Parallel()
	for holder, want := range map[string][]string{"mainstay-0": {"", ""}, "mainstay-1": {""}} {
		lease := &overtaken{holders: []string{"mainstay-0", holder}}
		lock := &guardedLock{Interface: lease, log: logr.Discard(), deadline: 10 * time.Second, hurry: time.Second}
		if _, _, err := lock.Get(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := lock.Update(t.Context(), resourcelock.LeaderElectionRecord{})
		if released := err == nil; released != (holder == "mainstay-0") || !slices.Equal(lease.written, want) {
			t.Errorf("held by %s: released %t by writing %q: %v", holder, released, lease.written, err)
		}
	}
}

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

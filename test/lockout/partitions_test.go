package lockout_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/client-go/tools/leaderelection"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/test/replicas"
)

const (
	// silence is after how long without the API server a replica asks the others, and
	// round how long it takes to ask: every 2 s, with 1 s for the answers.
	silence, round = 15 * time.Second, 3 * time.Second
	// lately is how long ago a replica has heard the API server at most when nothing is
	// in the way: a standby looks at the Lease.
	lately = 3 * time.Second
	// slack is for a machine that does other things too.
	slack = 5 * time.Second
)

// healed is how long a partition that is over may still be felt: a lease duration and two
// polls.
func healed() time.Duration {
	return lease + 2*time.Duration((1+leaderelection.JitterFactor)*float64(retry))
}

// TestPartitions has replicas that do not reach the API server, which reaches them: they go
// on answering.
func TestPartitions(t *testing.T) {
	t.Parallel()
	e := start(t, replicas.Options{Pods: true})
	e.run(t, "mainstay-2")
	t.Run("one replica is cut off", e.oneCutOff)
	t.Run("all replicas are cut off", e.allCutOff)
	t.Run("one replica is cut off and the others are dead", e.lastCutOff)
}

// ranks are the leader and the others.
func (e *env) ranks(t *testing.T) (leader *replicas.Replica, standbys []*replicas.Replica) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	leader, err := e.replicas.AwaitLeader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range e.replicas.Running() {
		if r != leader {
			standbys = append(standbys, r)
		}
	}
	return leader, standbys
}

// only has one replica answer the API server, and tries what is to be judged until it is
// stopped.
func (e *env) only(t *testing.T, r *replicas.Replica) (stop func()) {
	t.Helper()
	e.replicas.Front().Divert(r.Addr())
	e.inForce(t)
	starts, watched := r.Starts(), e.watch(t)
	return func() {
		t.Helper()
		seen := watched()
		if r.Starts() != starts {
			t.Errorf("%s ended by itself", r.Pod())
		}
		t.Logf("%s answered %d requests that conform", r.Pod(), seen.conforming)
		if seen.conformingRefused > 0 || seen.conforming == 0 {
			t.Errorf("%d of %d requests that conform were refused: %v", seen.conformingRefused, seen.conforming, seen.last)
		}
		e.replicas.Front().Restore()
	}
}

// unready is what a replica says where it is not ready, and empty where it is.
func unready(ctx context.Context, r *replicas.Replica) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, slack)
	defer cancel()
	status, text, err := r.Readyz(ctx, "")
	if err != nil || status == http.StatusOK {
		return "", err
	}
	_, why, err := r.Readyz(ctx, "webhook")
	return fmt.Sprintf("%d %s%s", status, text, why), err
}

// ready returns why a replica is not ready.
func ready(ctx context.Context, r *replicas.Replica) error {
	said, err := unready(ctx, r)
	if err == nil && said != "" {
		err = fmt.Errorf("%s: %s", r.Pod(), said)
	}
	return err
}

// stayReady asks replicas for as long as it takes to find out twice that another one hears
// the API server.
func (e *env) stayReady(t *testing.T, rs ...*replicas.Replica) {
	t.Helper()
	var walk sync.WaitGroup
	defer walk.Wait()
	walk.Go(func() { e.holds(t, expected{}) })
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for began := time.Now(); time.Since(began) < silence+2*round; <-ticker.C {
		for _, r := range rs {
			if err := ready(t.Context(), r); err != nil {
				t.Errorf("not ready %s after it was cut off: %v", time.Since(began).Round(time.Millisecond), err)
				return
			}
		}
	}
}

// leads waits until a replica has renewed the Lease after a time.
func (e *env) leads(t *testing.T, since time.Time) {
	t.Helper()
	eventuallyWithin(t, healed()+slack, "a replica leads", func(ctx context.Context) error {
		var lease coordinationv1.Lease
		if err := e.client.Get(ctx, client.ObjectKey{Namespace: replicas.Namespace, Name: replicas.LeaseName}, &lease); err != nil {
			return err
		}
		if lease.Spec.RenewTime.Time.Before(since) {
			return fmt.Errorf("%q renewed the lease at %s", *lease.Spec.HolderIdentity, lease.Spec.RenewTime)
		}
		return nil
	})
	t.Logf("a replica led %s after the partition", time.Since(since).Round(time.Millisecond))
}

// oneCutOff: the replica is out of the Service until it hears the API server again, as its
// peers say that they do.
func (e *env) oneCutOff(t *testing.T) {
	_, standbys := e.ranks(t)
	cut := standbys[0]
	stop := e.only(t, cut)
	cut.CutOff()
	began := time.Now()
	said := ""
	eventuallyWithin(t, silence+round+slack, "the replica is not ready", func(ctx context.Context) (err error) {
		if said, err = unready(ctx, cut); err == nil && said == "" {
			err = errors.New("it is")
		}
		return err
	})
	took := time.Since(began)
	t.Logf("not ready %s after it was cut off", took.Round(time.Millisecond))
	if took < silence-lately {
		t.Errorf("not ready %s after it was cut off, want %s at least", took, silence-lately)
	}
	for _, want := range []string{"503", "[-]webhook failed", "the API server is silent here for more than 15s, and another replica hears it"} {
		if !strings.Contains(said, want) {
			t.Errorf("it says %q, want %q", said, want)
		}
	}
	if n := strings.Count(said, "[-]"); n != 1 {
		t.Errorf("%d checks fail, want one: %s", n, said)
	}
	e.endpoints(t, 2)
	e.holds(t, expected{})
	if said, err := unready(t.Context(), cut); err != nil || said == "" {
		t.Errorf("ready while it is cut off: %v", err)
	}

	over := time.Now()
	cut.Reconnect()
	eventuallyWithin(t, healed()+slack, "the replica is ready", func(ctx context.Context) error { return ready(ctx, cut) })
	t.Logf("ready %s after the partition", time.Since(over).Round(time.Millisecond))
	e.endpoints(t, 3)
	stop()
	e.inForce(t)
}

// allCutOff: the leader ends, as it cannot renew the Lease, and the others stay.
func (e *env) allCutOff(t *testing.T) {
	leader, standbys := e.ranks(t)
	stop := e.only(t, standbys[0])
	starts := leader.Starts()
	e.each(t, func(r *replicas.Replica) error {
		r.CutOff()
		return nil
	})
	e.stayReady(t, standbys...)
	e.endpoints(t, 2)
	if leader.Starts() == starts {
		t.Error("the leader goes on without the Lease")
	}

	over := time.Now()
	e.each(t, func(r *replicas.Replica) error {
		r.Reconnect()
		return nil
	})
	e.leads(t, over)
	e.endpoints(t, 3)
	t.Logf("all replicas were ready %s after the partition", time.Since(over).Round(time.Millisecond))
	stop()
	e.inForce(t)
}

// lastCutOff: one of the others does not answer, and where the other one was nobody listens.
func (e *env) lastCutOff(t *testing.T) {
	leader, standbys := e.ranks(t)
	last := standbys[0]
	stop := e.only(t, last)
	last.CutOff()
	if err := leader.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := standbys[1].Kill(); err != nil {
		t.Fatal(err)
	}
	e.stayReady(t, last)

	over := time.Now()
	last.Reconnect()
	e.leads(t, over)
	stop()
	if err := leader.Kill(); err != nil {
		t.Fatal(err)
	}
	e.inForce(t)
}

// endpoints waits until the Front sends connections to as many replicas.
func (e *env) endpoints(t *testing.T, want int) {
	t.Helper()
	eventuallyWithin(t, healed()+slack, fmt.Sprintf("%d replicas are endpoints", want), func(context.Context) error {
		if got := e.replicas.Endpoints(); got != want {
			return fmt.Errorf("%d are", got)
		}
		return nil
	})
}

package lockout_test

import (
	"fmt"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/test/replicas"
)

// TestRestarts has leaders, API servers and whole clusters go and come.
func TestRestarts(t *testing.T) {
	t.Parallel()
	e := start(t, replicas.Options{})
	t.Run("leader changes once a second", e.leaderChanges)
	t.Run("a former leader goes on", e.formerLeader)
	t.Run("the API server restarts", e.apiServerRestarts)
	t.Run("a cold start with the configuration persisted", e.coldStart)
}

// leaderChanges for 20 s. The entries are there all the time, and what conforms is
// admitted.
func (e *env) leaderChanges(t *testing.T) {
	const lasts = 20 * time.Second
	e.run(t, "leads-0", "leads-1")
	stop := e.watch(t)
	changes := e.transitions(t)
	walked := make(chan struct{})
	go func() {
		defer close(walked)
		e.holds(t, expected{})
	}()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	stopped := make(chan error, 100)
	n := 0
	for began := time.Now(); time.Since(began) < lasts; <-ticker.C {
		leader, err := e.replicas.Leader(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// A leader may go while two others serve.
		if leader == nil || e.replicas.Endpoints() < 3 {
			continue
		}
		n++
		if _, err := e.replicas.Start(fmt.Sprintf("leads-%d", n+1)); err != nil {
			t.Fatal(err)
		}
		go func() { stopped <- leader.Stop() }()
	}
	for range n {
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	}
	<-walked
	seen := stop()
	t.Logf("the Lease changed hands %d times in %s, and %d requests that conform were judged", e.transitions(t)-changes, lasts, seen.conforming)
	if e.transitions(t)-changes < 3 || seen.conforming == 0 {
		t.Error("that shows nothing")
	}
	if seen.conformingRefused > 0 {
		t.Errorf("%d of %d requests that conform were refused: %v", seen.conformingRefused, seen.conforming, seen.last)
	}
	e.inForce(t)
}

func (e *env) transitions(t *testing.T) int32 {
	t.Helper()
	var lease coordinationv1.Lease
	if err := e.client.Get(t.Context(), client.ObjectKey{Namespace: replicas.Namespace, Name: replicas.LeaseName}, &lease); err != nil {
		t.Fatal(err)
	}
	if lease.Spec.LeaseTransitions == nil {
		return 0
	}
	return *lease.Spec.LeaseTransitions
}

// apiServerRestarts: the first request that it answers is judged.
func (e *env) apiServerRestarts(t *testing.T) {
	stop := e.watch(t)
	for range 3 {
		if err := e.StopAPIServer(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := e.StartAPIServer(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	e.holds(t, expected{unserved: true, partly: true}) // replicas may have lost their lease, and be starting
	stop()
	e.inForce(t)
}

// coldStart is a whole cluster that was off: its configuration is there before any pod.
func (e *env) coldStart(t *testing.T) {
	if err := e.PowerOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.replicas.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := e.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.holds(t, expected{unserved: true})
	stop := e.watch(t) // a leader that is new to all of it opens nothing
	e.run(t, "cold-0", "cold-1")
	e.inForce(t)
	stop()
}

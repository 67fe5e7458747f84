package lockout_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/replicas"
)

// TestRestarts has leaders, API servers and whole clusters go and come.
func TestRestarts(t *testing.T) {
	t.Parallel()
	e := start(t, replicas.Options{})
	t.Run("the replicas are replaced", e.replaced)
	t.Run("a former leader goes on", e.formerLeader)
	t.Run("the API server restarts", e.apiServerRestarts)
	t.Run("a cold start with the configuration persisted", e.coldStart)
}

// replaced has each replica make room for another one, the leader among them: nobody notices.
func (e *env) replaced(t *testing.T) {
	stop := e.watch(t)
	old := e.replicas.Running()
	for i, r := range old {
		e.run(t, fmt.Sprintf("next-%d", i))
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
	}
	seen := stop()
	t.Logf("%d requests that conform were judged", seen.conforming)
	if seen.conformingRefused > 0 || seen.conforming == 0 {
		t.Errorf("%d of %d requests that conform were refused: %v", seen.conformingRefused, seen.conforming, seen.last)
	}
	e.inForce(t)
}

// TestLeaderChanges has another leader every second, for 15 s and until a walk of the recovery
// path is over. Each is told to stop as soon as it leads, with the rules edited while it does:
// what it does not get to is for the next one. They hold all the time, and what conforms is
// admitted. The test is alone: beside other clusters a machine of two cores does not manage it.
func TestLeaderChanges(t *testing.T) {
	const (
		lasts = 15 * time.Second
		// slowest is what a change may take on average. One a second is asked for; a machine
		// that does other things too manages two in three.
		slowest = 1500 * time.Millisecond
		// spare replicas lead while others start: a process takes longer than a second.
		spare = 4
	)
	// A leader holds the Lease until it has drained, and the others look for it once per
	// retry period.
	e := start(t, replicas.Options{Flags: []string{"--leader-election-retry-period=100ms", "--drain-time=300ms"}})
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	var pods []string
	for i := range spare {
		pods = append(pods, fmt.Sprintf("leads-%d", i))
	}
	e.run(t, pods...)
	stop := e.watch(t)
	var walk, stops sync.WaitGroup
	defer stops.Wait()
	defer walk.Wait()
	end := func(r *replicas.Replica) {
		stops.Go(func() {
			if err := r.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
	walked := make(chan struct{})
	walk.Go(func() {
		defer close(walked)
		e.holds(t, expected{})
	})
	before, written, began := e.transitions(t), e.webhooks(t).Generation, time.Now()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	edits := 0
	for done := false; !done; {
		eventually(t, "two others serve beside a leader", func(context.Context) error {
			if n := e.replicas.Endpoints(); n < 3 {
				return fmt.Errorf("%d serve", n)
			}
			return nil
		})
		leader, err := e.replicas.AwaitLeader(ctx)
		if err != nil {
			t.Fatal(err)
		}
		edits++
		end(leader)
		e.edit(t, edits)
		if _, err := e.replicas.Start(ctx, fmt.Sprintf("leads-%d", spare+edits)); err != nil {
			t.Fatal(err)
		}
		<-ticker.C
		select {
		case <-walked:
			done = time.Since(began) >= lasts
		default:
		}
	}
	took := time.Since(began)
	changes, writes := e.transitions(t)-before, e.webhooks(t).Generation-written
	stops.Wait()
	seen := stop()
	t.Logf("the Lease changed hands %d times in %.1f s, the webhook configuration was written %d times for %d edits, and %d requests that conform were judged",
		changes, took.Seconds(), writes, edits, seen.conforming)
	if time.Duration(changes)*slowest < took {
		t.Errorf("the Lease changed hands %d times in %s, which is less often than once in %s", changes, took, slowest)
	}
	// A drain this short ends connections that an API server is about to use again.
	if seen.conformingRefused > seen.cut || seen.cut > edits || seen.conforming == 0 {
		t.Errorf("%d of %d requests that conform were refused, %d by a connection that was cut: %v", seen.conformingRefused, seen.conforming, seen.cut, seen.last)
	}
	eventually(t, "the last edit is in force, and what edits left is gone", func(ctx context.Context) error {
		var was []*v1alpha1.ClusterRule
		for n := range edits {
			was = append(was, ownEntry(edited(n)))
		}
		if config := e.webhooks(t); has(config, was...) || !has(config, ownEntry(edited(edits))) {
			return fmt.Errorf("after edit %d the entries are %v", edits, names(config))
		}
		return refusedBy(e.client.Create(ctx, badSettings("edited"), client.DryRunAll), edited(edits))
	})
	e.remove(t, ownEntry(edited(edits)))
	e.inForce(t)
}

// edit has the rule that the API server judges say something else, the one with references
// move to another entry, or back, and one with an entry of its own come where there was that
// of the edit before. The entry of a rule that goes stays, for as long as no leader lasts.
func (e *env) edit(t *testing.T, n int) {
	t.Helper()
	e.create(t, ownEntry(edited(n)))
	if n > 1 {
		e.remove(t, ownEntry(edited(n-1)))
	}
	said, moved := keptRule(), budgetedRule()
	said.Spec.Validations[0].Message = edited(n)
	moved.Spec.MatchConditions = []admissionregistrationv1.MatchCondition{}
	if n%2 > 0 {
		moved.Spec.MatchConditions = append(moved.Spec.MatchConditions, admissionregistrationv1.MatchCondition{Name: "moves", Expression: "true"})
	}
	for _, rule := range []*v1alpha1.ClusterRule{said, moved} {
		spec, err := json.Marshal(map[string]any{"spec": map[string]any{"validations": rule.Spec.Validations, "matchConditions": rule.Spec.MatchConditions}})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.client.Patch(t.Context(), rule, client.RawPatch(types.MergePatchType, spec)); err != nil {
			t.Fatal(err)
		}
	}
}

// edited is what the rule that the API server judges says after that edit, and the name of the
// rule that came with it.
func edited(n int) string { return fmt.Sprintf("edit-%d", n) }

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

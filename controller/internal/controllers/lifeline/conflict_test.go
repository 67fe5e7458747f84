package lifeline

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/status"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// A status that another manager owns is no reason to look less often, and none to send
// it with each event.
func TestConflictIsLeftAloneAndLooksGoOn(t *testing.T) {
	t.Parallel()
	l := line().Obj()
	// What the status says turns at each look as long as it is not written.
	meta.SetStatusCondition(&l.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionSurvivable, Status: metav1.ConditionTrue, Reason: "Survives"})
	b := newBed(t, pile(l), nil)
	b.statuses.result = status.Conflict
	mine := claim("mine", v1alpha1.OwnerReference{Kind: "Lifeline", Namespace: shop, Name: "web", UID: "line"})
	if err := b.cached.Create(t.Context(), mine); err != nil {
		t.Fatal(err)
	}
	at := func(what string, wantWrites int) {
		t.Helper()
		b.executor.open = true
		result, _ := b.look(t)
		if result.RequeueAfter != pollClaim {
			t.Errorf("%s: again in %s, want %s for the claim", what, result.RequeueAfter, pollClaim)
		}
		if len(b.statuses.written) != wantWrites {
			t.Errorf("%s: %d writes, want %d", what, len(b.statuses.written), wantWrites)
		}
	}
	at("first", 1)
	at("the same once more", 1)
	b.clock.SetTime(b.clock.Now().Add(conflictPause - time.Second))
	at("just before the pause ends", 1)

	if err := b.cached.Delete(t.Context(), builders.MakePod(shop, "web-1").Obj()); err != nil {
		t.Fatal(err)
	}
	at("something else to say", 2)
	at("the same of that", 2)
	b.clock.SetTime(b.clock.Now().Add(conflictPause))
	at("after the pause", 3)

	b.statuses.result = status.Written
	b.clock.SetTime(b.clock.Now().Add(conflictPause))
	at("it is let pass", 4)
	at("and is sent as ever", 5)
}

func TestConflictOfAnotherObjectIsNone(t *testing.T) {
	t.Parallel()
	now := time.Now()
	want := &v1alpha1.LifelineStatus{ObservedGeneration: 1}
	c := conflict{uid: "line", want: timeless(want), until: now.Add(time.Minute)}
	if !c.holds(line().Obj(), want, now) || c.holds(line().UID("again").Obj(), want, now) || (conflict{}).holds(line().Obj(), want, now) {
		t.Error("a conflict is remembered for another object")
	}
}

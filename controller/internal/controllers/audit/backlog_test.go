package audit

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// Objects that change faster than a rule is evaluated keep it neither from a first
// result nor from an end of what is planned.
func TestChangesDuringAPassWaitForItsEnd(t *testing.T) {
	t.Parallel()
	const count = 6
	for name, namespaces := range map[string]string{"of all namespaces": "All", "of its namespace": "Same"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := builders.MakeClusterRule("r").Match("", "v1", "configmaps").Refer("s", "v1", "Secret", namespaces).
				Modes(v1alpha1.ModeAudit).Validate("size(refs.s) == 0", "no").Obj()
			s := newStore(count)
			b := newBed(t, s, r)
			s.takes.Store(int64(60 * time.Millisecond)) // two of them are a slice
			changed := func(obj *unstructured.Unstructured) { b.ObjectChanged(secrets, obj, obj) }
			for turns := 0; b.summary() == nil; turns++ {
				if turns > count {
					t.Fatalf("no result after %d turns, each of which looks at one object at least", turns)
				}
				if !b.turn(t) {
					t.Fatal("the rule is not in the queue")
				}
				changed(object("Secret", "s"))
				if left := len(b.rules[b.key].backlog); left > count {
					t.Errorf("%d objects are planned, and there are %d", left, count)
				}
			}
			want := &v1alpha1.RuleSummary{Pass: count}
			if diff := cmp.Diff(want, b.summary()); diff != "" {
				t.Errorf("summary (-want +got):\n%s", diff)
			}

			// What changed meanwhile is looked at afterwards.
			s.takes.Store(0)
			s.maps = s.maps[1:]
			for b.queue.Len() > 0 {
				b.turn(t)
			}
			want.Pass--
			if diff := cmp.Diff(want, b.summary()); diff != "" {
				t.Errorf("summary after the changes (-want +got):\n%s", diff)
			}
		})
	}
}

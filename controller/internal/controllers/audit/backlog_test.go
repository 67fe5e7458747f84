package audit

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// Objects that change faster than a rule is evaluated keep it neither from a first
// result nor from an end of what is planned.
func TestChangesDuringAPassWaitForItsEnd(t *testing.T) {
	t.Parallel()
	const count = 6
	for name, namespaces := range map[string]string{"of all namespaces": "All", "of its namespace": "Same"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(count)
			b := newBed(t, s, referring(namespaces))
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
			b.work(t)
			want.Pass--
			if diff := cmp.Diff(want, b.summary()); diff != "" {
				t.Errorf("summary after the changes (-want +got):\n%s", diff)
			}
		})
	}
}

// A list that takes long to make is made once for all objects that see it, however many slices
// they take.
func TestListsAreMadeOnceForAPass(t *testing.T) {
	t.Parallel()
	s := newStore(6)
	b := newBed(t, s, referring("All"))
	s.takes.Store(int64(60 * time.Millisecond)) // two of them are a slice
	b.work(t)
	b.expect(t, "at first", v1alpha1.RuleSummary{Pass: 6})
	if s.listed[secrets] != 1 {
		t.Errorf("%d lists of a pass", s.listed[secrets])
	}

	s.takes.Store(0)
	s.secrets = append(s.secrets, object("Secret", "s"))
	b.ObjectChanged(secrets, nil, s.secrets[0])
	b.work(t)
	b.expect(t, "with another list", v1alpha1.RuleSummary{Fail: 6})
}

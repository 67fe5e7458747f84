package lifeline

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// Claims outlive the Lifeline that they were made for.
func TestClaimsOfAFormerLifelineAreResolved(t *testing.T) {
	t.Parallel()
	owner := func(name, uid string) v1alpha1.OwnerReference {
		return v1alpha1.OwnerReference{Kind: "Lifeline", Namespace: shop, Name: name, UID: types.UID(uid)}
	}
	tests := map[string]struct {
		cached   *v1alpha1.Lifeline
		wantLook bool
	}{
		"gone":      {},
		"made anew": {cached: line().UID("again").Heal(v1alpha1.HealOff, 12).Obj(), wantLook: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, pile(tt.cached), nil)
			done := claim("done", owner("web", "line"))
			done.Status.Phase = v1alpha1.PhaseDone
			for _, iv := range []*v1alpha1.Intervention{claim("open", owner("web", "line")), done, claim("anothers", owner("db", "db"))} {
				if err := b.cached.Create(t.Context(), iv); err != nil {
					t.Fatal(err)
				}
			}
			b.executor.open = true
			result, got := b.look(t)
			slices.Sort(b.executor.resolved)
			if diff := cmp.Diff([]string{"open"}, b.executor.resolved); diff != "" {
				t.Errorf("resolved (-want +got):\n%s", diff)
			}
			if result.RequeueAfter != pollClaim {
				t.Errorf("again in %s, want %s", result.RequeueAfter, pollClaim)
			}
			if (got != nil) != tt.wantLook {
				t.Errorf("wrote the status %+v", got)
			}
		})
	}
}

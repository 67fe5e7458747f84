package lifeline

import (
	"context"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// former are n final Interventions of a Lifeline of the namespace that is gone.
func former(n int, namespace string, dryRun bool) []client.Object {
	var out []client.Object
	for i := range n {
		iv := claim(fmt.Sprintf("%s-%t-%d", namespace, dryRun, i), v1alpha1.OwnerReference{Kind: "Lifeline", Namespace: namespace, Name: "former", UID: "former"})
		iv.Status.Phase = v1alpha1.PhaseFailed
		if dryRun {
			iv.Labels[v1alpha1.LabelDryRun] = "true"
			iv.Status.Phase = v1alpha1.PhaseRefused
		}
		out = append(out, iv)
	}
	return out
}

// Whoever writes Lifelines fills neither Mainstay's memory nor etcd with their Interventions.
func TestInterventionsOfANamespaceAreBounded(t *testing.T) {
	t.Parallel()
	const full = "the Lifelines of namespace shop have 256 Interventions of moves: no other move is begun"
	tests := map[string]struct {
		mode         v1alpha1.HealMode
		cached, live []client.Object
		wantDone     int
		wantRefused  int
		wantReason   string
		wantMessage  string
	}{
		"room for one more move": {
			mode: v1alpha1.HealAuto, live: former(255, shop, false),
			wantDone: 1, wantReason: v1alpha1.ReasonRebalancing, wantMessage: "moving pod web-",
		},
		"no room for a move": {
			mode: v1alpha1.HealAuto, cached: former(256, shop, false), live: former(256, shop, false),
			wantReason: v1alpha1.ReasonBlocked, wantMessage: full,
		},
		"no room, which the cache has not seen": {
			mode: v1alpha1.HealAuto, cached: former(255, shop, false), live: former(256, shop, false),
			wantReason: v1alpha1.ReasonBlocked, wantMessage: full,
		},
		"no room for a dry run": {
			mode: v1alpha1.HealDryRun, live: former(256, shop, false),
			wantReason: v1alpha1.ReasonDryRun, wantMessage: "a move that would be made is not recorded",
		},
		"dry runs leave room for a move": {
			mode: v1alpha1.HealAuto, live: former(256, shop, true),
			wantDone: 1, wantReason: v1alpha1.ReasonRebalancing, wantMessage: "moving pod web-",
		},
		"those of another namespace do not count": {
			mode: v1alpha1.HealAuto, live: former(256, "db", false),
			wantDone: 1, wantReason: v1alpha1.ReasonRebalancing, wantMessage: "moving pod web-",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := line().Heal(tt.mode, 12).Obj()
			b := newBed(t, append(pile(l), tt.cached...), append(pile(l.DeepCopy()), tt.live...))
			_, got := b.look(t)
			if len(b.executor.done) != tt.wantDone || len(b.executor.refused) != tt.wantRefused {
				t.Errorf("%d moves and %d records, want %d and %d", len(b.executor.done), len(b.executor.refused), tt.wantDone, tt.wantRefused)
			}
			if c := healing(t, got); c.Reason != tt.wantReason || !strings.Contains(c.Message, tt.wantMessage) || (c.Status == metav1.ConditionTrue) != (tt.wantDone > 0) {
				t.Errorf("Healing says %s, %s: %s, want %s: …%s…", c.Status, c.Reason, c.Message, tt.wantReason, tt.wantMessage)
			}
		})
	}
}

// A look costs what its own namespace has Interventions, not what all others have.
func TestLookReadsTheInterventionsOfItsNamespace(t *testing.T) {
	t.Parallel()
	history := append(former(2, shop, false), former(5, "db", false)...)
	b := newBed(t, append(pile(line().Obj()), history...), append(pile(line().Obj()), history...))
	var read []int
	count := interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
		err := c.List(ctx, list, opts...)
		if ivs, ok := list.(*v1alpha1.InterventionList); ok {
			read = append(read, len(ivs.Items))
		}
		return err
	}}
	b.client = interceptor.NewClient(b.cached, count)
	b.watchLive(count)
	b.look(t)
	if len(read) != 2 || read[0] != 2 || read[1] != 2 {
		t.Errorf("read %d Interventions of the cache and the API server, want 2 of each", read)
	}
}

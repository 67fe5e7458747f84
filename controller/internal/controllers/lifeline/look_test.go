package lifeline

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// The cache asks for a move; what the Lifeline asks for now is what counts.
func TestSecondLookReadsTheLifeline(t *testing.T) {
	t.Parallel()
	terminating := line().Obj()
	terminating.DeletionTimestamp, terminating.Finalizers = &metav1.Time{Time: time.Now()}, []string{"test/hold"}
	tests := map[string]struct {
		live        *v1alpha1.Lifeline
		wantDone    int
		wantRefused int
		wantReason  string
		wantMessage string
	}{
		"unchanged":         {live: line().Obj(), wantDone: 1, wantReason: v1alpha1.ReasonRebalancing, wantMessage: "moving pod web-"},
		"switched off":      {live: line().Heal(v1alpha1.HealOff, 12).Obj(), wantReason: v1alpha1.ReasonHealingOff, wantMessage: "spec.heal.mode is Off"},
		"a dry run":         {live: line().Heal(v1alpha1.HealDryRun, 12).Obj(), wantRefused: 1, wantReason: v1alpha1.ReasonDryRun, wantMessage: "spec.heal.mode is DryRun: moving"},
		"other members":     {live: line().Select("app", "db").Obj(), wantReason: v1alpha1.ReasonIdle, wantMessage: "spec.selector matches no"},
		"gone":              {wantReason: v1alpha1.ReasonIdle, wantMessage: "the Lifeline is gone"},
		"on its way out":    {live: terminating, wantReason: v1alpha1.ReasonIdle, wantMessage: "the Lifeline is gone"},
		"another UID":       {live: line().UID("again").Obj(), wantReason: v1alpha1.ReasonIdle, wantMessage: "the Lifeline is gone"},
		"a topology of one": {live: line().TopologyKeys("rack").Obj(), wantReason: v1alpha1.ReasonIdle, wantMessage: "no move would help"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, pile(line().Obj()), pile(tt.live))
			_, got := b.look(t)
			if len(b.executor.done) != tt.wantDone || len(b.executor.refused) != tt.wantRefused {
				t.Errorf("%d moves and %d records, want %d and %d", len(b.executor.done), len(b.executor.refused), tt.wantDone, tt.wantRefused)
			}
			if c := healing(t, got); c.Reason != tt.wantReason || !strings.Contains(c.Message, tt.wantMessage) {
				t.Errorf("Healing says %s: %s, want %s: …%s…", c.Reason, c.Message, tt.wantReason, tt.wantMessage)
			}
		})
	}
}

// The age of a claim counts from before the first answer that it was decided from.
func TestClaimSaysWhenItsReadingBegan(t *testing.T) {
	t.Parallel()
	b := newBed(t, pile(line().Obj()), pile(line().Obj()))
	var first time.Time
	b.watchLive(interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, at client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
		if first.IsZero() {
			first = time.Now()
		}
		return c.Get(ctx, at, obj, opts...)
	}})
	began := time.Now()
	b.look(t)
	if len(b.executor.done) != 1 {
		t.Fatalf("%d moves, want 1", len(b.executor.done))
	}
	if looked := b.executor.done[0].Looked; looked.Before(began) || looked.After(first) {
		t.Errorf("looked at %s; want between %s and the first reading at %s", looked, began, first)
	}
}

// What could not be done is said, and tried again at the next look.
func TestMoveThatFailsIsNoMove(t *testing.T) {
	t.Parallel()
	quota := apierrors.NewForbidden(schema.GroupResource{Group: "mainstay.dev", Resource: "interventions"}, "x", errors.New("exceeded quota"))
	tests := map[string]struct {
		mode        v1alpha1.HealMode
		prepare     func(b *bed)
		wantStatus  metav1.ConditionStatus
		wantReason  string
		wantMessage string
		wantRetry   time.Duration
	}{
		"no claim": {
			mode:       v1alpha1.HealAuto,
			prepare:    func(b *bed) { b.executor.claimed, b.executor.err = nil, quota },
			wantStatus: metav1.ConditionFalse, wantReason: v1alpha1.ReasonBlocked, wantMessage: "exceeded quota", wantRetry: lookAgain,
		},
		"no record of a dry run": {
			mode:       v1alpha1.HealDryRun,
			prepare:    func(b *bed) { b.executor.err = quota },
			wantStatus: metav1.ConditionFalse, wantReason: v1alpha1.ReasonBlocked, wantMessage: "exceeded quota", wantRetry: lookAgain,
		},
		"no second look": {
			mode: v1alpha1.HealAuto,
			prepare: func(b *bed) {
				b.watchLive(interceptor.Funcs{List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
					return errors.New("the server is too busy")
				}})
			},
			wantStatus: metav1.ConditionFalse, wantReason: v1alpha1.ReasonBlocked, wantMessage: "the server is too busy", wantRetry: lookAgain,
		},
		"no Lifeline to be read": {
			mode: v1alpha1.HealAuto,
			prepare: func(b *bed) {
				b.watchLive(interceptor.Funcs{Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
					return errors.New("timeout")
				}})
			},
			wantStatus: metav1.ConditionFalse, wantReason: v1alpha1.ReasonBlocked, wantMessage: "timeout", wantRetry: lookAgain,
		},
		"a claim whose result is not known": {
			mode:       v1alpha1.HealAuto,
			prepare:    func(b *bed) { b.executor.err = errors.New("timeout") },
			wantStatus: metav1.ConditionTrue, wantReason: v1alpha1.ReasonRebalancing, wantMessage: "moving pod", wantRetry: pollClaim,
		},
		"somebody else's claim": {
			mode:       v1alpha1.HealAuto,
			prepare:    func(b *bed) { b.executor.claimed = nil },
			wantStatus: metav1.ConditionFalse, wantReason: v1alpha1.ReasonBlocked, wantMessage: "somebody else claimed", wantRetry: pollClaim,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := line().Heal(tt.mode, 12)
			b := newBed(t, pile(l.Obj()), pile(l.Obj()))
			tt.prepare(b)
			result, got := b.look(t)
			c := healing(t, got)
			if c.Status != tt.wantStatus || c.Reason != tt.wantReason || !strings.Contains(c.Message, tt.wantMessage) || result.RequeueAfter != tt.wantRetry {
				t.Errorf("Healing is %s, %s: %q, again in %s; want %s, %s: …%q…, again in %s",
					c.Status, c.Reason, c.Message, result.RequeueAfter, tt.wantStatus, tt.wantReason, tt.wantMessage, tt.wantRetry)
			}
			if tt.wantRetry == lookAgain && !strings.HasPrefix(c.Message, "cannot move pod web-") {
				t.Errorf("message %q does not name the pod", c.Message)
			}
		})
	}
}

func TestRetriesComeAsOftenAsLooks(t *testing.T) {
	t.Parallel()
	limiter, request := retries(), ctrl.Request{}
	var last time.Duration
	for range 40 {
		last = limiter.When(request)
	}
	if last != lookAgain {
		t.Errorf("a look that failed 40 times is repeated in %s, want %s", last, lookAgain)
	}
}

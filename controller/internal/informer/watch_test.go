package informer

import (
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// An API server that has just started refuses for a while what it answered before.
func TestRefusalOfWhatWasAnsweredHasToLast(t *testing.T) {
	t.Parallel()
	gvr := schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	refusal := apierrors.NewForbidden(gvr.GroupResource(), "", errors.New("no role"))
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	w := &watch{synced: true, state: State{Phase: Synced}}
	at := func(after time.Duration, err error, want Phase) {
		t.Helper()
		if err == nil {
			w.succeeded("watch")
		} else {
			w.failed(gvr, "watch", err, began.Add(after))
		}
		if got := w.currentState().Phase; got != want {
			t.Errorf("after %s: %s, want %s", after, got, want)
		}
	}
	at(0, refusal, Synced)
	at(59*time.Second, refusal, Synced)
	at(60*time.Second, nil, Synced)
	at(61*time.Second, refusal, Synced)
	at(120*time.Second, refusal, Synced)
	at(121*time.Second, refusal, Forbidden)
	at(122*time.Second, refusal, Forbidden)
	at(123*time.Second, nil, Synced)

	first := &watch{}
	first.failed(gvr, "list", refusal, began)
	if got := first.currentState().Phase; got != Forbidden {
		t.Errorf("what was never answered: %s, want %s", got, Forbidden)
	}
}

// A list that is answered says nothing about a watch that is refused.
func TestRefusedWatchIsNoSyncedWatch(t *testing.T) {
	t.Parallel()
	gvr := schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	refusal := apierrors.NewForbidden(gvr.GroupResource(), "", errors.New("no role"))
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	type answer struct {
		after time.Duration
		verb  string
		err   error
		want  Phase
	}
	tests := map[string]struct {
		fresh   bool
		answers []answer
	}{
		"the right to watch is taken away": {answers: []answer{
			{0, "watch", refusal, Synced},
			{30 * time.Second, "list", nil, Synced},
			{30 * time.Second, "watch", refusal, Synced},
			{60 * time.Second, "list", nil, Synced},
			{60 * time.Second, "watch", refusal, Forbidden},
			{90 * time.Second, "list", nil, Forbidden},
			{90 * time.Second, "watch", refusal, Forbidden},
			{120 * time.Second, "list", nil, Forbidden},
			{120 * time.Second, "watch", nil, Synced},
		}},
		"the right to watch was never there": {fresh: true, answers: []answer{
			{0, "watch", refusal, Forbidden},
			{0, "list", nil, Forbidden},
			{0, "", nil, Forbidden}, // all is listed
			{1 * time.Second, "watch", refusal, Forbidden},
			{2 * time.Second, "list", nil, Forbidden},
			{3 * time.Second, "watch", nil, Synced},
		}},
		"a watch that brings the objects needs no list": {fresh: true, answers: []answer{
			{0, "watch", refusal, Forbidden},
			{0, "list", refusal, Forbidden},
			{1 * time.Second, "watch", nil, Forbidden},
			{1 * time.Second, "", nil, Synced},
		}},
		"a list that was refused for a moment": {answers: []answer{
			{0, "list", refusal, Synced},
			{30 * time.Second, "list", nil, Synced},
			{61 * time.Second, "list", refusal, Synced},
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &watch{synced: true, state: State{Phase: Synced}}
			if tt.fresh {
				w = &watch{state: listing(gvr)}
			}
			for i, a := range tt.answers {
				switch {
				case a.verb == "":
					w.listed()
				case a.err != nil:
					w.failed(gvr, a.verb, a.err, began.Add(a.after))
				default:
					w.succeeded(a.verb)
				}
				if got := w.currentState().Phase; got != a.want {
					t.Errorf("answer %d, %s after %s: %s, want %s", i, a.verb, a.after, got, a.want)
				}
			}
		})
	}
}

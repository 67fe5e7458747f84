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
			w.succeeded()
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

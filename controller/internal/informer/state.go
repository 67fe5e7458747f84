package informer

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// Phase says whether the objects of a kind can be read.
type Phase string

// Phases.
const (
	// Absent: the API server does not serve the resource.
	Absent Phase = "Absent"
	// Forbidden: the API server refuses to list or watch the resource.
	Forbidden Phase = "Forbidden"
	// Syncing: the first list is under way, or fails for a passing reason.
	Syncing Phase = "Syncing"
	// Synced: every object is in the cache and changes are told. An API server that
	// goes away afterwards does not change that: what was seen last still holds.
	Synced Phase = "Synced"
)

// State of one wanted resource.
type State struct {
	Phase Phase
	// Message says what is missing and what to do; empty when synced.
	Message string
}

// Resource is what the API server serves requests about.
type Resource = rule.APIResource

// readerLabel is the label of the ClusterRoles that the package aggregates
// into what Mainstay may read.
const readerLabel = "mainstay.dev/aggregate-to-reader"

// stateOf translates the error of a list or watch; ok is false for a fault
// that passes by itself.
func stateOf(gvr schema.GroupVersionResource, verb string, err error) (state State, ok bool) {
	switch {
	case apierrors.IsForbidden(err):
		return State{Phase: Forbidden, Message: fmt.Sprintf(
			"may not %s %s: grant get, list and watch in a ClusterRole with the label %s=true",
			verb, gvr.GroupResource(), readerLabel)}, true
	case apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err):
		return absent(gvr), true
	default:
		return State{Phase: Syncing, Message: fmt.Sprintf("%s %s: %v", verb, gvr.GroupResource(), err)}, false
	}
}

func absent(gvr schema.GroupVersionResource) State {
	return State{Phase: Absent, Message: fmt.Sprintf("the API server does not serve %s in version %s", gvr.GroupResource(), gvr.Version)}
}

func listing(gvr schema.GroupVersionResource) State {
	return State{Phase: Syncing, Message: "listing " + gvr.GroupResource().String()}
}

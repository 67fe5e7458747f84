package action

import (
	"context"
	"errors"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// Results of an Action that are known to have had no effect.
var (
	// ErrGone: the target does not exist any more under its UID.
	ErrGone = errors.New("the target is gone")
	// ErrBlocked: a PodDisruptionBudget does not allow it now.
	ErrBlocked = errors.New("blocked by a PodDisruptionBudget")
	// ErrRejected: the API server refused for another reason.
	ErrRejected = errors.New("rejected by the API server")
)

// Action is one thing that Mainstay does to an object.
type Action interface {
	// Do takes the action once. An error that is none of this package's leaves
	// open whether it had an effect.
	Do(ctx context.Context, target v1alpha1.TargetReference) error
	// Seen says whether the effect is visible on the target.
	Seen(ctx context.Context, target v1alpha1.TargetReference) (bool, error)
}

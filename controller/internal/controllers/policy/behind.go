package policy

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	rulecontroller "github.com/mainstay-dev/mainstay/controller/internal/controllers/rule"
	"github.com/mainstay-dev/mainstay/controller/internal/gate"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// errBehind is returned where the cache is behind the API server, so that nothing was
// written: what it has not seen yet comes.
var errBehind = errors.New("the cache is behind the API server")

// version is what of a rule the cache may be behind with. The zero value is that of a rule
// that is gone, or being deleted.
type version struct {
	uid        types.UID
	generation int64
}

func versionOf(seen policy.Report) version {
	return version{uid: seen.UID, generation: seen.Generation}
}

// live is the version of a rule that the API server has.
func (r *Reconciler) live(ctx context.Context, key rule.Key) (version, error) {
	obj, _, err := rulecontroller.Read(ctx, r.Reader, key)
	switch {
	case apierrors.IsNotFound(err) || meta.IsNoMatchError(err):
		return version{}, nil
	case err != nil:
		return version{}, err
	case obj.GetDeletionTimestamp() != nil:
		return version{}, nil
	}
	return version{uid: obj.GetUID(), generation: obj.GetGeneration()}, nil
}

// current returns errBehind unless the API server has a rule as the cache had it, and nobody
// has opened the gates: a new leader must not undo what a former one wrote later, nor close
// what it has not heard of. It returns a refusal where Mainstay may not ask.
func (r *Reconciler) current(ctx context.Context, key rule.Key, seen policy.Report) (*policy.Refusal, error) {
	at, err := r.live(ctx, key)
	var record *gate.Record
	if err == nil {
		record, err = gate.Recorded(ctx, r.Reader, r.Namespace)
	}
	switch {
	case apierrors.IsForbidden(err):
		return &policy.Refusal{Reason: v1alpha1.ReasonForbidden, Message: err.Error()}, nil
	case err != nil:
		return nil, err
	case record != nil || at != versionOf(seen):
		return nil, errBehind
	}
	return nil, nil //nolint:nilnil // neither refused nor failed
}

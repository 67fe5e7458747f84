package webhook

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// turns has the Rules of a namespace take one processor at a time, however many requests there
// are of it: its tenant may write rules that take all the time there is, and the replica has
// others to answer, and itself. ClusterRules wait for nobody.
type turns struct {
	of sync.Map // *semaphore.Weighted by namespace
}

const busy = unavailable("other requests of this namespace took all the time for its rules")

// within evaluates a rule when it is its turn. It fails where ctx ends before.
func (t *turns) within(ctx context.Context, key rule.Key, evaluate func() rule.Finding) rule.Finding {
	if key.Kind != rule.KindRule {
		return evaluate()
	}
	found, ok := t.of.Load(key.Namespace)
	if !ok {
		found, _ = t.of.LoadOrStore(key.Namespace, semaphore.NewWeighted(1))
	}
	turn := found.(*semaphore.Weighted) //nolint:forcetypeassert // nothing else is in it
	if turn.Acquire(ctx, 1) != nil {
		return failed(busy)
	}
	defer turn.Release(1)
	return evaluate()
}

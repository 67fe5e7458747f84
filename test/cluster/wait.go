package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// pollEvery is how often a condition is looked at.
	pollEvery = 50 * time.Millisecond
	// readyTimeout bounds how long one component may take to become ready. A busy
	// machine with few cores is slow; one that takes longer than this is broken.
	readyTimeout = 3 * time.Minute
	// tryTimeout bounds one look.
	tryTimeout = 5 * time.Second
)

// errNotReady is the cause of a wait that took too long.
var errNotReady = errors.New("not ready")

// await waits until ready returns nil. It fails when any component of the cluster
// dies, when ctx ends, and, blaming p, when p is not ready in time.
func (c *Cluster) await(ctx context.Context, p *process, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, errNotReady)
	defer cancel()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		try, cancelTry := context.WithTimeout(ctx, tryTimeout)
		err := ready(try)
		cancelTry()
		if err == nil {
			return nil
		}
		if dead := c.group.died(); dead != nil {
			return dead.failure(dead.exit())
		}
		select {
		case <-ctx.Done():
			cause := context.Cause(ctx)
			if errors.Is(cause, errNotReady) {
				return p.failure(fmt.Errorf("%w within %s: %w", errNotReady, readyTimeout, err))
			}
			return fmt.Errorf("waiting for %s: %w", p.name, cause)
		case <-ticker.C:
		}
	}
}

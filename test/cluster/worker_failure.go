package cluster

import (
	"context"
	"fmt"
	"time"
)

// FailWorker takes the worker away as a power cut would: every process of a real one
// ends at once and its network is gone, its lease is renewed no more, its pods stay as
// they are in the API, and after the grace period the node lifecycle controller says
// NotReady. It returns as soon as the worker is gone, and does nothing when it is gone
// already.
func (c *Cluster) FailWorker(_ context.Context, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	w, err := c.worker(name)
	if err != nil {
		return fmt.Errorf("failing a worker: %w", err)
	}
	if err := c.killWorker(w); err != nil {
		return fmt.Errorf("failing a worker: %w", err)
	}
	return nil
}

// killWorker ends everything of a worker and returns when it is gone.
func (c *Cluster) killWorker(w *worker) error {
	if c.real != nil {
		return c.killRealWorker(w)
	}
	return w.proc.kill()
}

// RecoverWorker brings a failed worker back and returns when its Node is Ready. It
// does nothing to a worker that runs.
func (c *Cluster) RecoverWorker(ctx context.Context, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	w, err := c.worker(name)
	if err != nil {
		return fmt.Errorf("recovering a worker: %w", err)
	}
	if w.proc.running() {
		return nil
	}
	if err := c.freeLease(ctx, w); err != nil {
		return fmt.Errorf("recovering %s: %w", name, err)
	}
	since := time.Now()
	if err := c.startWorker(w); err != nil {
		return fmt.Errorf("recovering %s: %w", name, err)
	}
	if err := c.awaitWorker(ctx, w, since); err != nil {
		return fmt.Errorf("recovering %s: %w", name, err)
	}
	return nil
}

package cluster

import (
	"context"
	"errors"
	"fmt"
	"syscall"
)

// PauseEtcd freezes etcd: the API server stays up and its requests hang.
func (c *Cluster) PauseEtcd() error {
	return c.freeze("pausing etcd", func(p *plane) error { return p.etcd.pause() })
}

// ResumeEtcd lets a paused etcd go on.
func (c *Cluster) ResumeEtcd() error {
	return c.freeze("resuming etcd", func(p *plane) error { return p.etcd.signal(syscall.SIGCONT) })
}

// freeze pauses or resumes a process of the control plane, which an existing cluster has
// elsewhere.
func (c *Cluster) freeze(what string, do func(*plane) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.plane == nil {
		return fmt.Errorf("%s: %w", what, errExisting)
	}
	return do(c.plane)
}

// PowerOff ends every process of the cluster at once, as a power cut in the whole
// building would: workers with their pods, control plane and etcd. The state stays,
// for PowerOn. Commands that were given to Adopt go on.
func (c *Cluster) PowerOff(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.plane == nil {
		return fmt.Errorf("powering the cluster off: %w", errExisting)
	}
	if err := c.powerOff(); err != nil {
		return fmt.Errorf("powering the cluster off: %w", err)
	}
	return nil
}

func (c *Cluster) powerOff() error {
	var errs []error
	for _, w := range c.workers.list {
		errs = append(errs, c.killWorker(w))
	}
	for _, p := range c.plane.processes() {
		errs = append(errs, p.kill())
	}
	return errors.Join(errs...)
}

// PowerOn starts the cluster again after PowerOff. It returns when the API server
// serves and every worker is Ready with a lease renewed since. It does nothing to a
// cluster that is on, and powers what is on of another one off first.
func (c *Cluster) PowerOn(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.plane == nil {
		return fmt.Errorf("powering the cluster on: %w", errExisting)
	}
	if c.on() {
		return nil
	}
	if err := c.powerOff(); err != nil {
		return fmt.Errorf("powering the cluster on: %w", err)
	}
	if err := c.powerOn(ctx); err != nil {
		return fmt.Errorf("powering the cluster on: %w", err)
	}
	return nil
}

// on reports whether everything that PowerOn starts runs.
func (c *Cluster) on() bool {
	for _, p := range c.plane.processes() {
		if !p.running() {
			return false
		}
	}
	for _, w := range c.workers.list {
		if w.proc == nil || !w.proc.running() {
			return false
		}
	}
	return true
}

func (c *Cluster) powerOn(ctx context.Context) error {
	if err := c.runPlane(ctx); err != nil {
		return err
	}
	if err := c.runWorkers(ctx); err != nil {
		return err
	}
	return c.awaitPlane(ctx)
}

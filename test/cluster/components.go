package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// HoldComponent ends a component of a real worker ("kubelet", "containerd" or
// "kube-proxy") with SIGKILL and keeps it down until ReleaseComponent or until the
// worker is powered off. Pods live on. It returns when the component is gone.
func (c *Cluster) HoldComponent(ctx context.Context, worker, component string) error {
	if err := c.control(ctx, worker, "hold", component); err != nil {
		return fmt.Errorf("holding %s of %s: %w", component, worker, err)
	}
	return nil
}

// ReleaseComponent starts a component that HoldComponent ended. It returns when the
// process runs, which is before the component is ready.
func (c *Cluster) ReleaseComponent(ctx context.Context, worker, component string) error {
	if err := c.control(ctx, worker, "release", component); err != nil {
		return fmt.Errorf("releasing %s of %s: %w", component, worker, err)
	}
	return nil
}

// LoadImages imports docker archives into every real worker. Workers that are off
// are an error.
func (c *Cluster) LoadImages(ctx context.Context, archives ...string) error {
	if c.real == nil {
		return fmt.Errorf("loading images: %w", errSimulated)
	}
	errs := make(chan error)
	for _, name := range c.Workers() {
		go func() { errs <- c.loadImages(ctx, name, archives) }()
	}
	var all []error
	for range c.Workers() {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

func (c *Cluster) loadImages(ctx context.Context, worker string, archives []string) error {
	for _, archive := range archives {
		if err := c.loadImage(ctx, worker, archive); err != nil {
			return fmt.Errorf("loading %s into %s: %w", archive, worker, err)
		}
	}
	return nil
}

func (c *Cluster) loadImage(ctx context.Context, worker, archive string) error {
	cmd, err := c.WorkerCommand(ctx, worker, "ctr", "--namespace", "k8s.io", "images", "import", "-")
	if err != nil {
		return err
	}
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	cmd.Stdin = file
	return run(cmd)
}

package cluster

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/mainstay-dev/mainstay/test/cluster/tools"
)

// errExisting is what a call gets that needs a control plane of the cluster's own.
var errExisting = errors.New("the control plane is an existing one that this cluster did not start")

// startAPIServer starts the API server and waits until it serves.
func (c *Cluster) startAPIServer(ctx context.Context) error {
	p := c.plane
	var err error
	if p.apiServer, err = c.group.start(tools.APIServer, p.paths[tools.APIServer], p.apiServerArgs(c)...); err != nil {
		return err
	}
	return c.await(ctx, p.apiServer, func(ctx context.Context) error {
		_, err := c.client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err
	})
}

// StopAPIServer ends the API server, and returns when it is gone. Its data stays.
func (c *Cluster) StopAPIServer(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.plane == nil {
		return fmt.Errorf("stopping the API server: %w", errExisting)
	}
	return c.plane.apiServer.stop(stopGrace)
}

// StartAPIServer starts the API server again, on its former port and with its
// former data, and returns when it serves. It does nothing while one runs.
func (c *Cluster) StartAPIServer(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.plane == nil {
		return fmt.Errorf("starting the API server: %w", errExisting)
	}
	if c.plane.apiServer.running() {
		return nil
	}
	return c.startAPIServer(ctx)
}

// PauseAPIServer freezes the API server: connections stay open and nothing answers.
func (c *Cluster) PauseAPIServer() error {
	return c.freeze("pausing the API server", func(p *plane) error { return p.apiServer.pause() })
}

// ResumeAPIServer lets a paused API server go on.
func (c *Cluster) ResumeAPIServer() error {
	return c.freeze("resuming the API server", func(p *plane) error { return p.apiServer.signal(syscall.SIGCONT) })
}

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mainstay-dev/mainstay/test/cluster/tools"
)

// kubeconfigFile is the administrator's kubeconfig in the cluster's folder.
const kubeconfigFile = "kubeconfig"

// Cluster is a running cluster. Its methods may be called from several goroutines.
type Cluster struct {
	opts    Options
	dir     string
	group   *group
	plane   *plane // nil when the control plane is an existing one
	workers *workers
	real    *realWorkers // nil when the workers are simulated
	cfg     *rest.Config
	client  kubernetes.Interface
	kubectl string

	mu      sync.Mutex
	stopped bool
	stopErr error
}

// Start starts a cluster and returns when its control plane serves, its workers are
// Ready and pods can be scheduled. Programs that are not in the cache yet are built
// first, which takes minutes and is told to opts.Out. The context bounds the start
// only; the cluster runs until Stop. Nothing is left of a start that fails, and the
// error of a component that dies or does not become ready names it and ends with the
// last lines of its log.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	existing, err := existingKubeconfig(opts, os.Getenv)
	if err != nil {
		return nil, err
	}
	root, err := tools.Root()
	if err != nil {
		return nil, err
	}
	var realWorkers *realWorkers
	if opts.Real {
		if realWorkers, err = newReal(ctx, root, opts, existing); err != nil {
			return nil, err
		}
	}
	paths, err := programs(ctx, existing != "", os.Getenv(envAssets), opts.Out)
	if err != nil {
		return nil, err
	}
	if err := sweep(os.TempDir(), opts.Out); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", dirPrefix)
	if err != nil {
		return nil, fmt.Errorf("making the cluster's folder: %w", err)
	}
	owner, err := claim(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	c := &Cluster{opts: opts, dir: dir, real: realWorkers, kubectl: paths[tools.Kubectl]}
	if c.real != nil {
		if err := c.real.take(ctx, dir); err != nil {
			return nil, errors.Join(err, owner.Close(), os.RemoveAll(dir))
		}
	}
	if c.group, err = newGroup(dir, owner, c.real.locks()...); err != nil {
		return nil, errors.Join(err, releaseHost(dir), os.RemoveAll(dir))
	}
	if err := c.start(ctx, existing, root, paths); err != nil {
		return nil, errors.Join(fmt.Errorf("starting a cluster: %w", err), c.stop())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, existing, root string, paths map[string]string) error {
	var err error
	if c.workers, err = newWorkers(ctx, root, c.dir, paths[tools.Kwok], c.opts); err != nil {
		return err
	}
	apiHost := loopback
	if c.real != nil {
		apiHost = c.HostIP()
		if err := c.real.connect(ctx, c.opts.Workers); err != nil {
			return err
		}
	}
	if existing != "" {
		if err := c.useExisting(ctx, existing); err != nil {
			return err
		}
	} else {
		if c.plane, err = newPlane(c.dir, apiHost, paths); err != nil {
			return err
		}
		if c.real != nil {
			if err := c.plane.useRealWorkers(); err != nil {
				return err
			}
		}
		if err := c.startPlane(ctx); err != nil {
			return err
		}
	}
	if err := c.startWorkers(ctx); err != nil {
		return err
	}
	if c.plane != nil {
		if err := c.awaitPlane(ctx); err != nil {
			return err
		}
	}
	if c.real != nil && c.opts.Workers > 0 {
		// The scheduler spreads what it can: all workers have to be there.
		if err := c.startDNS(ctx); err != nil {
			return err
		}
	}
	if c.opts.KeepRunning {
		return c.group.release()
	}
	return nil
}

// Stop ends the cluster and removes its folder. Nodes that were added to an existing
// cluster are removed from it. The error names components that had died before.
// Stopping twice gives the same answer as once.
func (c *Cluster) Stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return c.stopErr
	}
	c.stopped = true
	if dead := c.group.died(); dead != nil {
		c.stopErr = dead.failure(dead.exit())
	}
	c.stopErr = errors.Join(c.stopErr, c.stop())
	return c.stopErr
}

func (c *Cluster) stop() error { return errors.Join(forgetWorkers(c.dir), c.group.end()) }

// Adopt has a command that is not started yet end with the cluster, however that
// ends. Its ExtraFiles and SysProcAttr are set for it.
func (c *Cluster) Adopt(cmd *exec.Cmd) { c.group.adopt(cmd) }

// Dir is the cluster's folder, with a log file for each component.
func (c *Cluster) Dir() string { return c.dir }

// Config returns a config that acts as the cluster's administrator.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.cfg) }

// Kubeconfig is the path of the administrator's kubeconfig.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.dir, kubeconfigFile) }

// ConfigFor returns a config that acts as a user in groups, with a certificate of
// the cluster's CA. In an existing cluster, whose CA's key is not known, the
// administrator impersonates the user instead.
func (c *Cluster) ConfigFor(user string, groups ...string) (*rest.Config, error) {
	if c.plane != nil {
		return c.plane.config(user, groups...)
	}
	cfg := c.Config()
	cfg.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	return cfg, nil
}

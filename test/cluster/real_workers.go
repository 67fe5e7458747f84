package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/mainstay-dev/mainstay/test/cluster/internal/node"
)

// prepareWorkers writes what real workers read, and gives them their images.
func (c *Cluster) prepareWorkers(ctx context.Context) error {
	proxy, err := c.plane.config("system:kube-proxy")
	if err != nil {
		return err
	}
	c.real.proxy = filepath.Join(c.dir, "kube-proxy.kubeconfig")
	if err := WriteKubeconfig(c.real.proxy, proxy); err != nil {
		return err
	}
	for _, w := range c.workers.list {
		if err := c.configureWorker(w); err != nil {
			return err
		}
	}
	return c.stockWorkers(ctx)
}

// startRealWorker powers a worker on.
func (c *Cluster) startRealWorker(w *worker) error {
	dir := c.workerDir(w)
	if err := os.Remove(filepath.Join(dir, "pid")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("starting %s: %w", w.name, err)
	}
	proc, err := c.group.start(w.name, c.real.program, "launch", dir)
	if err != nil {
		return err
	}
	for _, component := range []string{containerd, kubelet, kubeProxy} {
		proc.logs = append(proc.logs, node.Log(dir, component))
	}
	w.proc = proc
	return nil
}

// workerPID is the id of the init process of a worker that is on.
func (c *Cluster) workerPID(w *worker) (int, error) {
	pid, err := node.PID(c.workerDir(w))
	if err != nil {
		return 0, err
	}
	if pid == 0 || w.proc == nil || !w.proc.running() {
		return 0, fmt.Errorf("%s is off", w.name)
	}
	return pid, nil
}

// killRealWorker powers a worker off. Its launcher ends when all of it is gone.
func (c *Cluster) killRealWorker(w *worker) error {
	if w.proc == nil || !w.proc.running() {
		return nil
	}
	w.proc.expected.Store(true)
	pid, err := node.PID(c.workerDir(w))
	if err != nil {
		return err
	}
	if pid == 0 {
		return w.proc.kill()
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("killing the init process of %s: %w", w.name, err)
	}
	timer := time.NewTimer(groupEnd)
	defer timer.Stop()
	select {
	case <-w.proc.done:
		return nil
	case <-timer.C:
		return fmt.Errorf("killing %s: still there after %s", w.name, groupEnd)
	}
}

// control gives an order to a worker's init process.
func (c *Cluster) control(ctx context.Context, name, verb, component string) error {
	pid, err := c.WorkerPID(name)
	if err != nil {
		return err
	}
	return node.Control(ctx, pid, verb, component)
}

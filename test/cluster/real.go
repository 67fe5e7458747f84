package cluster

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/mainstay-dev/mainstay/test/cluster/internal/host"
)

// errSimulated is what a call gets that needs real workers.
var errSimulated = errors.New("the workers are simulated")

// realWorkers is what a cluster with real workers has beyond another one.
type realWorkers struct {
	instance *host.Instance
	root     string              // the project's folder
	program  string              // the path of test/cluster/cmd/worker, built
	paths    map[string]string   // of kubelet and kube-proxy
	capacity corev1.ResourceList // of the machine
	archives []string            // of the images that workers start with
	pause    string              // the image of the pods' sandboxes
	dns      string              // the image of CoreDNS
	proxy    string              // the path of kube-proxy's kubeconfig
	stocking time.Duration       // what making the image store took, or waiting for it
}

// HostIP is this machine's address as workers and their pods reach it; the loopback
// address when the workers are simulated.
func (c *Cluster) HostIP() string {
	if c.real == nil {
		return loopback
	}
	return c.real.instance.HostIP()
}

// Stocking is how long the start took to make the store of its images, or to wait for
// others who made theirs: next to nothing where the user's cache has it.
func (c *Cluster) Stocking() time.Duration {
	if c.real == nil {
		return 0
	}
	return c.real.stocking
}

// ServiceRange is the range of Service addresses. The Service kubernetes has its
// first one, 10.96.0.1, with port 443.
func (c *Cluster) ServiceRange() string { return serviceRange }

// PodCIDR is the range of the addresses of a worker's pods.
func (c *Cluster) PodCIDR(name string) (string, error) {
	w, err := c.worker(name)
	if err != nil {
		return "", err
	}
	if c.real == nil {
		return podCIDR(w.number), nil
	}
	return c.real.instance.PodCIDR(w.number), nil
}

// WorkerIP is a worker's address, which its Node has as InternalIP.
func (c *Cluster) WorkerIP(name string) (string, error) {
	w, err := c.worker(name)
	if err != nil {
		return "", err
	}
	if c.real == nil {
		return nodeIP(w.number), nil
	}
	return c.real.instance.WorkerIP(w.number), nil
}

// realWorker returns the worker of that name, which must be a real one.
func (c *Cluster) realWorker(name string) (*worker, error) {
	if c.real == nil {
		return nil, errSimulated
	}
	return c.worker(name)
}

// WorkerPID is the id, in this machine's process namespace, of a real worker's init
// process. Its namespaces are the worker's. A worker that is off has none.
func (c *Cluster) WorkerPID(name string) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w, err := c.realWorker(name)
	if err != nil {
		return 0, fmt.Errorf("finding the init process of %s: %w", name, err)
	}
	return c.workerPID(w)
}

// WorkerLink is the name of this machine's side of a real worker's veth pair. The
// link is there while the worker is on.
func (c *Cluster) WorkerLink(name string) (string, error) {
	w, err := c.realWorker(name)
	if err != nil {
		return "", fmt.Errorf("finding the link of %s: %w", name, err)
	}
	return c.real.instance.Link(w.number), nil
}

// WorkerCgroup is the path, below the mount point of every cgroup v1 hierarchy, of
// the cgroup that holds all processes and pods of a real worker.
func (c *Cluster) WorkerCgroup(name string) (string, error) {
	w, err := c.realWorker(name)
	if err != nil {
		return "", fmt.Errorf("finding the cgroup of %s: %w", name, err)
	}
	return c.real.instance.WorkerCgroup(w.name), nil
}

// WorkerCommand returns a command, not started yet, that runs a program of this
// machine in all namespaces of a real worker.
func (c *Cluster) WorkerCommand(ctx context.Context, name, program string, args ...string) (*exec.Cmd, error) {
	pid, err := c.WorkerPID(name)
	if err != nil {
		return nil, err
	}
	return enter(ctx, pid, program, args...), nil
}

// enter is a command in all namespaces of a process. The root folder is the worker's
// too: it is another mount namespace's.
func enter(ctx context.Context, pid int, program string, args ...string) *exec.Cmd {
	all := append([]string{"--target", strconv.Itoa(pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--", program}, args...)
	return hostCommand(ctx, "nsenter", all...)
}

// hostCommand is a command of this machine's, also of one outside the user's PATH.
func hostCommand(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, host.Find(name), args...)
}

// run runs a command of the worker and has what it printed in the error.
func run(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

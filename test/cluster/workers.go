package cluster

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/mainstay-dev/mainstay/test/cluster/tools"
)

//go:embed stages/pod-ready-again.yaml
var podReadyAgain []byte

// worker is one worker.
type worker struct {
	number     int
	name       string
	kubeconfig string
	// proc is kwok, or the process that starts a real worker's init process and ends
	// with it.
	proc *process
}

// workers are the cluster's workers and what they all need.
type workers struct {
	kwok   string
	stages []string
	lease  time.Duration
	list   []*worker
}

// stageFolders are those of kwok's module whose stages make up a worker.
func stageFolders() []string { return []string{"node/fast", "node/heartbeat-with-lease", "pod/fast"} }

// newWorkers lists the workers. For simulated ones it collects the stage files:
// kwok's own, from the Go module cache, and the one that they lack.
func newWorkers(ctx context.Context, root, dir, kwok string, opts Options) (*workers, error) {
	w := &workers{kwok: kwok, lease: opts.leaseDuration()}
	for number := 1; number <= opts.Workers; number++ {
		w.list = append(w.list, &worker{number: number, name: workerName(number)})
	}
	if opts.Real {
		return w, nil
	}
	source, err := tools.SourceDir(ctx, root, "kwok", "sigs.k8s.io/kwok")
	if err != nil {
		return nil, err
	}
	for _, folder := range stageFolders() {
		files, err := filepath.Glob(filepath.Join(source, "kustomize", "stage", folder, "*-*.yaml"))
		if err != nil {
			return nil, fmt.Errorf("finding kwok's stages: %w", err)
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("finding kwok's stages: none in %s of %s", folder, source)
		}
		w.stages = append(w.stages, files...)
	}
	own := filepath.Join(dir, "pod-ready-again.yaml")
	if err := os.WriteFile(own, podReadyAgain, 0o644); err != nil {
		return nil, fmt.Errorf("writing a kwok stage: %w", err)
	}
	w.stages = append(w.stages, own)
	return w, nil
}

func (w *workers) args(of *worker) []string {
	args := []string{
		"--kubeconfig=" + of.kubeconfig,
		"--manage-single-node=" + of.name,
		"--node-ip=" + nodeIP(of.number),
		"--cidr=" + podCIDR(of.number),
		"--node-lease-duration-seconds=" + strconv.Itoa(int(w.lease/time.Second)),
	}
	for _, stage := range w.stages {
		args = append(args, "--config="+stage)
	}
	return args
}

// startWorkers gives the workers what they need, starts their processes and waits
// until they are ready.
func (c *Cluster) startWorkers(ctx context.Context) error {
	if len(c.workers.list) == 0 {
		return nil
	}
	prepare := c.registerWorkers
	if c.real != nil {
		prepare = c.prepareWorkers
	}
	if err := prepare(ctx); err != nil {
		return err
	}
	return c.runWorkers(ctx)
}

// registerWorkers gives the simulated workers their rights, identities and Nodes.
func (c *Cluster) registerWorkers(ctx context.Context) error {
	if err := c.allowWorkers(ctx); err != nil {
		return err
	}
	version, err := c.client.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("reading the cluster's version: %w", err)
	}
	for _, w := range c.workers.list {
		if err := c.registerWorker(ctx, w, version.GitVersion); err != nil {
			return err
		}
	}
	return nil
}

// runWorkers starts the workers' processes and waits until they are ready.
func (c *Cluster) runWorkers(ctx context.Context) error {
	since := time.Now()
	for _, w := range c.workers.list {
		if err := c.freeLease(ctx, w); err != nil {
			return err
		}
		if err := c.startWorker(w); err != nil {
			return err
		}
	}
	for _, w := range c.workers.list {
		if err := c.awaitWorker(ctx, w, since); err != nil {
			return err
		}
	}
	return nil
}

// registerWorker gives the worker its identity and its Node.
func (c *Cluster) registerWorker(ctx context.Context, w *worker, version string) error {
	w.kubeconfig = c.Kubeconfig()
	if c.plane != nil {
		cfg, err := c.plane.config("system:node:"+w.name, "system:nodes")
		if err != nil {
			return err
		}
		w.kubeconfig = filepath.Join(c.dir, w.name+".kubeconfig")
		if err := WriteKubeconfig(w.kubeconfig, cfg); err != nil {
			return err
		}
	}
	nodes := c.client.CoreV1().Nodes()
	if c.plane == nil {
		// A run that was killed leaves its nodes in the existing cluster.
		if err := nodes.Delete(ctx, w.name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("replacing the simulated node %s: %w", w.name, err)
		}
	}
	if _, err := nodes.Create(ctx, newNode(w.number, c.opts, version), metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("registering %s: %w", w.name, err)
	}
	return nil
}

func (c *Cluster) startWorker(w *worker) error {
	if c.real != nil {
		return c.startRealWorker(w)
	}
	proc, err := c.group.start(w.name, c.workers.kwok, c.workers.args(w)...)
	if err != nil {
		return err
	}
	w.proc = proc
	return nil
}

// awaitWorker waits until the worker has renewed its lease after since and its Node
// is Ready: what the API server says may be from before.
func (c *Cluster) awaitWorker(ctx context.Context, w *worker, since time.Time) error {
	return c.await(ctx, w.proc, func(ctx context.Context) error {
		lease, err := c.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, w.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if lease.Spec.HolderIdentity == nil || lease.Spec.RenewTime == nil || lease.Spec.RenewTime.Time.Before(since) {
			return fmt.Errorf("%s has not renewed its lease", w.name)
		}
		node, err := c.client.CoreV1().Nodes().Get(ctx, w.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if !nodeReady(node) {
			return fmt.Errorf("node %s is not Ready", w.name)
		}
		// A kubelet renews its lease before it knows whether it is ready.
		if c.real != nil && !saidSince(node, since) {
			return fmt.Errorf("the kubelet of %s has not said yet that it is ready", w.name)
		}
		return nil
	})
}

// Workers returns the names of the workers.
func (c *Cluster) Workers() []string {
	var names []string
	for _, w := range c.workers.list {
		names = append(names, w.name)
	}
	return names
}

func (c *Cluster) worker(name string) (*worker, error) {
	for _, w := range c.workers.list {
		if w.name == name {
			return w, nil
		}
	}
	return nil, fmt.Errorf("no worker is named %q, there are: %s", name, strings.Join(c.Workers(), ", "))
}

// freeLease lets a simulated worker take its lease at once, as a kubelet does: each
// kwok process has an identity of its own and would wait for the lease of the former
// one to run out.
func (c *Cluster) freeLease(ctx context.Context, w *worker) error {
	if c.real != nil {
		return nil
	}
	patch := []byte(`{"spec":{"holderIdentity":null}}`)
	leases := c.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	if _, err := leases.Patch(ctx, w.name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("freeing the lease of %s: %w", w.name, err)
	}
	return nil
}

// deleteWorkers removes the Nodes of an existing cluster that this one added.
func deleteWorkers(ctx context.Context, client kubernetes.Interface, names []string) error {
	var errs []error
	for _, name := range names {
		if err := client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("removing the simulated node %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

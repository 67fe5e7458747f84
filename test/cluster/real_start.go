package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/mainstay-dev/mainstay/test/cluster/internal/host"
	"github.com/mainstay-dev/mainstay/test/cluster/internal/node"
	"github.com/mainstay-dev/mainstay/test/cluster/tools"
	"github.com/mainstay-dev/mainstay/test/images"
)

// workerProgram is the name of test/cluster/cmd/worker in the cluster's folder, where
// the watchdog finds it too.
const workerProgram = "worker"

// newReal builds what real workers run, and changes nothing outside dir.
func newReal(ctx context.Context, root string, opts Options, existing string) (*realWorkers, error) {
	if existing != "" {
		return nil, errors.New("real workers cannot be added to an existing cluster")
	}
	if err := host.Check(); err != nil {
		return nil, err
	}
	if err := visible(); err != nil {
		return nil, err
	}
	builder, err := tools.Default(opts.Out)
	if err != nil {
		return nil, err
	}
	r := &realWorkers{root: root}
	if r.paths, err = builder.Build(ctx, tools.Kubelet, tools.KubeProxy); err != nil {
		return nil, err
	}
	made, err := images.Build(ctx, opts.Out, images.Pause, images.CoreDNS)
	if err != nil {
		return nil, err
	}
	r.pause, r.dns = made[images.Pause].Ref, made[images.CoreDNS].Ref
	r.archives = append([]string{made[images.Pause].Archive, made[images.CoreDNS].Archive}, opts.Images...)
	memory, err := machineMemory()
	if err != nil {
		return nil, err
	}
	r.capacity = newCapacity(runtime.NumCPU(), memory)
	return r, nil
}

// visible returns an error when a worker would not see what it is given.
func visible() error {
	cache, err := tools.CacheDir()
	if err != nil {
		return err
	}
	for _, dir := range []string{cache, os.TempDir()} {
		for _, hidden := range node.Replaced() {
			if dir == hidden || strings.HasPrefix(dir, hidden+"/") {
				return fmt.Errorf("real workers cannot read %s: each has a %s of its own", dir, hidden)
			}
		}
	}
	return nil
}

// take gets the cluster in dir its number.
func (r *realWorkers) take(ctx context.Context, dir string) error {
	r.program = filepath.Join(dir, workerProgram)
	if err := tools.BuildProgram(ctx, r.root, "./test/cluster/cmd/worker", "-s -w", r.program); err != nil {
		return err
	}
	var err error
	r.instance, err = host.Acquire(ctx, dir)
	return err
}

// locks are what every process of the cluster inherits beyond the group's own.
func (r *realWorkers) locks() []*os.File {
	if r == nil {
		return nil
	}
	return []*os.File{r.instance.Lock()}
}

// connect makes the network that the API server and the workers share.
func (r *realWorkers) connect(ctx context.Context, workers int) error {
	if err := host.SetKernel(ctx); err != nil {
		return err
	}
	return r.instance.Network(ctx, workers)
}

// machineMemory is the machine's memory in bytes: meminfo counts in KiB.
func machineMemory() (int64, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, fmt.Errorf("reading the machine's memory: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == "MemTotal:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("reading the machine's memory: /proc/meminfo has no MemTotal")
}

// releaseHost removes what a cluster with real workers in dir left outside them. It
// does nothing for another cluster. It takes no context: it has to be done also when
// the caller's has ended.
//
//nolint:contextcheck,nolintlint // what it silences is reported at the callers
func releaseHost(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, workerProgram)); err != nil {
		return nil //nolint:nilerr // a cluster without the program has no real workers
	}
	return host.Release(context.Background(), dir)
}

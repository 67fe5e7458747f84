package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/mainstay-dev/mainstay/test/bench"
	"github.com/mainstay-dev/mainstay/test/cluster"
	"github.com/mainstay-dev/mainstay/test/fluxrun"
	"github.com/mainstay-dev/mainstay/test/gitserver"
	"github.com/mainstay-dev/mainstay/test/images"
)

const (
	// liveWithin bounds the wait for a commit to be live, once Flux is there.
	liveWithin = 2 * time.Minute
	// look is how often it is looked at: kubectl takes of the processors that are measured.
	look = 250 * time.Millisecond
)

// took are the seconds that parts of a start took, and the end.
type took struct{ ready, live, stop float64 }

// startReal starts real workers with Flux, and ends them when a commit is live. What containerd
// makes of images that it has not seen yet is not in the figures.
func startReal(ctx context.Context, workers int, out io.Writer) (t took, err error) {
	options := fluxrun.Options{Out: out}
	built, err := images.Build(ctx, out, options.Images()...)
	if err != nil {
		return t, err
	}
	var archives []string
	for _, image := range built {
		archives = append(archives, image.Archive)
	}
	dir, err := os.MkdirTemp("", "mainstay-bench-")
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	began := time.Now()
	c, err := cluster.Start(ctx, cluster.Options{Real: true, Workers: workers, Images: archives, Out: out})
	if err != nil {
		return t, err
	}
	defer func() {
		ends := time.Now()
		err = errors.Join(err, c.Stop())
		t.stop = time.Since(ends).Seconds()
	}()
	since := func() float64 { return (time.Since(began) - c.Stocking()).Seconds() }
	t.ready = since()
	git, err := gitserver.Start(ctx, gitserver.Options{Address: c.HostIP() + ":0", Dir: dir})
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, git.Close()) }() //nolint:contextcheck // whatever became of ctx
	options.Cluster = c
	flux, err := fluxrun.Install(ctx, options)
	if err != nil {
		return t, err
	}
	repo, err := git.Create(ctx, "tracked")
	if err != nil {
		return t, err
	}
	manifest := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: tracked, namespace: default}\n"
	if _, err := repo.Commit(ctx, "Add tracked", map[string][]byte{"objects/tracked.yaml": []byte(manifest)}); err != nil {
		return t, err
	}
	if err := flux.Sync(ctx, fluxrun.SyncOptions{Name: "tracked", URL: repo.URL(), Path: "objects", Prune: true}); err != nil {
		return t, err
	}
	err = wait.PollUntilContextTimeout(ctx, look, liveWithin, true, func(ctx context.Context) (bool, error) {
		_, err := c.Kubectl(ctx, "-n", "default", "get", "configmap", "tracked")
		return err == nil, nil
	})
	if err != nil {
		return t, fmt.Errorf("wait for the commit to be live: %w", err)
	}
	t.live = since()
	return t, nil
}

func runReal(ctx context.Context, runs, workers int, dir string, out io.Writer) error {
	var ready, live, stop []float64
	for number := range runs {
		t, err := startReal(ctx, workers, out)
		if err != nil {
			return err
		}
		ready, live, stop = append(ready, t.ready), append(live, t.live), append(stop, t.stop)
		_, _ = fmt.Fprintf(out, "run %d of %d: %d workers Ready after %.2f s, a commit live after %.2f s, stopped in %.2f s\n",
			number+1, runs, workers, t.ready, t.live, t.stop)
	}
	return bench.Write(dir, bench.Result{Name: "start-real", Metrics: map[string]bench.Metric{
		"ready":   bench.Of("s", ready...),
		"live":    bench.Of("s", live...),
		"stop":    bench.Of("s", stop...),
		"workers": {Value: float64(workers), Unit: "workers"},
	}})
}

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/test/cluster/internal/host"
	"github.com/mainstay-dev/mainstay/test/cluster/internal/node"
	"github.com/mainstay-dev/mainstay/test/cluster/tools"
)

// keptStores is how many prepared image stores stay in the user's cache: more than there
// are sets of images in the suites, as otherwise each run makes every one of them anew. A
// store is as big as its images twice, up to 1 GB.
const keptStores = 8

// unfinished ends the name of a store that is being made.
const unfinished = ".new"

// stockWorkers gives every worker the images that it starts with. containerd takes
// seconds to import them, so that is done once for a set of images, in the user's
// cache, and workers get links to what they never write.
func (c *Cluster) stockWorkers(ctx context.Context) error {
	cache, err := tools.CacheDir()
	if err != nil {
		return err
	}
	dir := filepath.Join(cache, "stores")
	began := time.Now()
	unlock, err := tools.Lock(ctx, dir, c.opts.Out)
	if err != nil {
		return err
	}
	defer unlock()
	key, err := storeKey(c.real.archives)
	if err != nil {
		return err
	}
	store := filepath.Join(dir, key)
	if _, err := os.Stat(store); errors.Is(err, os.ErrNotExist) {
		err = c.makeStore(ctx, store)
		if err != nil {
			return err
		}
	} else if err != nil {
		return fmt.Errorf("looking for the image store: %w", err)
	}
	now := time.Now()
	c.real.stocking = now.Sub(began)
	if err := os.Chtimes(store, now, now); err != nil {
		return fmt.Errorf("using the image store: %w", err)
	}
	for _, w := range c.workers.list {
		if err := copyStore(store, node.Disk(c.workerDir(w), "lib/containerd")); err != nil {
			return fmt.Errorf("giving %s its images: %w", w.name, err)
		}
	}
	return pruneStores(dir)
}

// makeStore imports the images into a containerd that runs for this alone, in a mount
// namespace that takes its mounts away with it.
func (c *Cluster) makeStore(ctx context.Context, store string) error {
	_, _ = fmt.Fprintf(c.opts.Out, "preparing a store of %d images\n", len(c.real.archives))
	temporary := store + unfinished
	if err := os.RemoveAll(temporary); err != nil {
		return fmt.Errorf("preparing the image store: %w", err)
	}
	work := filepath.Join(c.dir, "store")
	if err := os.MkdirAll(work, 0o700); err != nil {
		return fmt.Errorf("preparing the image store: %w", err)
	}
	config := filepath.Join(work, "containerd.toml")
	if err := os.WriteFile(config, []byte("version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n"), 0o600); err != nil {
		return fmt.Errorf("preparing the image store: %w", err)
	}
	socket := filepath.Join(work, "s")
	// Without a fork, the process that is killed below is containerd itself.
	proc, err := c.group.start("image-store", host.Find("unshare"), "--mount", "--",
		host.Find(containerd), "--config", config, "--root", temporary, "--state", filepath.Join(work, "state"), "--address", socket)
	if err != nil {
		return err
	}
	ctr := func(ctx context.Context, args ...string) error {
		return run(hostCommand(ctx, "ctr", append([]string{"--address", socket, "--namespace", "k8s.io"}, args...)...))
	}
	err = c.await(ctx, proc, func(ctx context.Context) error { return ctr(ctx, "version") })
	for _, archive := range slices.Compact(slices.Sorted(slices.Values(c.real.archives))) {
		if err == nil {
			err = ctr(ctx, "images", "import", archive)
		}
	}
	// What it has stored is in files as soon as an import returns.
	if err := errors.Join(err, proc.kill()); err != nil {
		return fmt.Errorf("preparing the image store: %w", errors.Join(err, os.RemoveAll(temporary)))
	}
	if err := os.Rename(temporary, store); err != nil {
		return fmt.Errorf("preparing the image store: %w", err)
	}
	return nil
}

// pruneStores removes all stores but those used last, and what a killed process left
// of one. Workers that run keep their files: theirs are links.
func pruneStores(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("pruning image stores: %w", err)
	}
	type store struct {
		path string
		used time.Time
	}
	var stores []store
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return fmt.Errorf("pruning image stores: %w", err)
		}
		switch path := filepath.Join(dir, entry.Name()); {
		case !entry.IsDir():
		case strings.HasSuffix(path, unfinished): // the caller has the lock: none is being made
			if err := os.RemoveAll(path); err != nil {
				return fmt.Errorf("pruning image stores: %w", err)
			}
		default:
			stores = append(stores, store{path, info.ModTime()})
		}
	}
	slices.SortFunc(stores, func(a, b store) int { return b.used.Compare(a.used) })
	for _, old := range stores[min(keptStores, len(stores)):] {
		if err := os.RemoveAll(old.path); err != nil {
			return fmt.Errorf("pruning image stores: %w", err)
		}
	}
	return nil
}

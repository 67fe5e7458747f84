package tools

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// progressEvery is how often a build that goes on says so.
const progressEvery = 15 * time.Second

// Builder builds tools of the project at Root into the cache at Cache.
type Builder struct {
	root  string
	cache string
	out   io.Writer
}

// New returns a Builder for the project in the folder root. What it does, and for
// how long, goes to out line by line; nothing is written when all is built already.
func New(root, cache string, out io.Writer) *Builder {
	if out == nil {
		out = io.Discard
	}
	return &Builder{root: root, cache: cache, out: out}
}

// Default returns a Builder for the project around the working directory and the
// user's cache.
func Default(out io.Writer) (*Builder, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	return New(root, cache, out), nil
}

// job is one tool and where it belongs in the cache.
type job struct {
	tool     Tool
	module   toolModule
	provider requirement
	path     string
}

// Build returns the paths of the named tools by name, building those that the
// cache does not have.
func (b *Builder) Build(ctx context.Context, names ...string) (map[string]string, error) {
	paths := map[string]string{}
	modules := map[string]toolModule{}
	var missing []job
	for _, name := range names {
		tool, ok := find(name)
		if !ok {
			return nil, fmt.Errorf("no tool is named %q", name)
		}
		module, ok := modules[tool.Module]
		if !ok {
			var err error
			if module, err = loadModule(ctx, b.root, tool.Module); err != nil {
				return nil, err
			}
			modules[tool.Module] = module
		}
		provider, err := module.providing(tool.Package)
		if err != nil {
			return nil, err
		}
		j := job{tool, module, provider, filepath.Join(b.cache, module.name+"-"+module.key, tool.Name)}
		paths[name] = j.path
		if !exists(j.path) {
			missing = append(missing, j)
		}
	}
	started := time.Now()
	for i, j := range missing {
		if err := b.build(ctx, j, i+1, len(missing)); err != nil {
			return nil, err
		}
	}
	if len(missing) > 0 {
		b.say("built %d tools into %s in %s\n", len(missing), b.cache, since(started))
	}
	return paths, nil
}

// build builds one tool under a temporary name and renames it, so that a file with
// the tool's name is always whole.
func (b *Builder) build(ctx context.Context, j job, number, count int) error {
	dir := filepath.Dir(j.path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("building %s: %w", j.tool.Name, err)
	}
	unlock, err := lockDir(ctx, dir, b.say)
	if err != nil {
		return fmt.Errorf("building %s: %w", j.tool.Name, err)
	}
	defer unlock()
	if exists(j.path) {
		return nil
	}
	note := ""
	if j.tool.Name == APIServer {
		note = ", a cold build of the control plane takes some 6 minutes on two cores"
	}
	b.say("building %s %s (%d of %d)%s\n", j.tool.Name, j.provider.Version, number, count, note)
	started := time.Now()
	stop := b.progress(fmt.Sprintf("still building %s (%d of %d)", j.tool.Name, number, count), started)
	defer stop()

	work, err := WorkDir(dir)
	if err != nil {
		return fmt.Errorf("building %s: %w", j.tool.Name, err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	temporary := filepath.Join(work, j.tool.Name)
	args := []string{
		"build", "-trimpath", "-buildvcs=false", "-mod=readonly",
		"-ldflags", j.tool.ldflags(j.provider.Version), "-o", temporary,
	}
	more, err := b.completed(ctx, j, work)
	if err != nil {
		return fmt.Errorf("building %s: %w", j.tool.Name, err)
	}
	cmd := goCommand(ctx, j.module.dir, slices.Concat(args, more, []string{j.tool.Package})...)
	cmd.Env = append(cmd.Env, "GOTMPDIR="+work)
	var words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &words, &words
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("building %s: %w", j.tool.Name, context.Cause(ctx))
		}
		return fmt.Errorf("building %s %s: %w\n%s", j.tool.Name, j.provider.Version, err, strings.TrimSpace(words.String()))
	}
	if err := os.Rename(temporary, j.path); err != nil {
		return fmt.Errorf("building %s: %w", j.tool.Name, err)
	}
	return nil
}

// progress writes a line with the elapsed time every so often until stop is called.
func (b *Builder) progress(what string, started time.Time) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(progressEvery)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				b.say("%s: %s\n", what, since(started))
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// say writes a line about what is going on. That it cannot be written is no reason
// to stop building.
func (b *Builder) say(format string, args ...any) { _, _ = fmt.Fprintf(b.out, format, args...) }

func since(t time.Time) time.Duration { return time.Since(t).Round(time.Second) }

func exists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

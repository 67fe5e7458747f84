package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/mainstay-dev/mainstay/test/cluster/tools"
)

// Image is an image in the user's cache.
type Image struct {
	// Ref is the name that the project's manifests and the generated manifests of
	// Flux have, for example ghcr.io/fluxcd/source-controller:v1.9.5.
	Ref string
	// Refs are all names that the archive gives the image, Ref first. A controller
	// that flux-operator installs has a second one, below DistributionRegistry.
	Refs []string
	// Archive is the path of the docker archive.
	Archive string
}

// Build returns the named images by name, making those that the cache does not have.
// What it does goes to out line by line. The images of the project's own programs
// are made from the tree as it is now; the others once for one version. Any number
// of processes may ask at once. The programs are those of this machine, so it is an
// error on anything but Linux, and for a name that is none of Names.
func Build(ctx context.Context, out io.Writer, names ...string) (map[string]Image, error) {
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("making images: %w: their programs are built for this machine, and it runs %s, not linux",
			errors.ErrUnsupported, runtime.GOOS)
	}
	root, err := tools.Root()
	if err != nil {
		return nil, err
	}
	cache, err := tools.CacheDir()
	if err != nil {
		return nil, err
	}
	if out == nil {
		out = io.Discard
	}
	b := &builder{root: root, cache: cache, out: out}
	return b.build(ctx, names)
}

// builder makes images of the project at root, in the cache.
type builder struct {
	root  string
	cache string
	out   io.Writer
}

func (b *builder) build(ctx context.Context, names []string) (map[string]Image, error) {
	var recipes []recipe
	var programs []string
	for _, name := range names {
		r, ok := find(name)
		if !ok {
			return nil, fmt.Errorf("no image is named %q", name)
		}
		recipes = append(recipes, r)
		if r.own == "" {
			programs = append(programs, r.name)
		}
	}
	// Before the lock of the images is taken: these take minutes.
	paths, err := tools.New(b.root, b.cache, b.out).Build(ctx, programs...)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.cache, "images")
	unlock, err := tools.Lock(ctx, dir, b.out)
	if err != nil {
		return nil, err
	}
	defer unlock()
	work, err := tools.WorkDir(dir)
	if err != nil {
		return nil, fmt.Errorf("making images: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	images := map[string]Image{}
	for _, r := range recipes {
		made, err := b.content(ctx, r, paths[r.name], work)
		if err != nil {
			return nil, fmt.Errorf("making the image of %s: %w", r.name, err)
		}
		archive, err := b.store(ctx, r.name, made, dir, work)
		if err != nil {
			return nil, fmt.Errorf("making the image of %s: %w", r.name, err)
		}
		images[r.name] = Image{Ref: made.refs[0], Refs: made.refs, Archive: archive}
	}
	return images, nil
}

// content puts together what the image of r is made of. Its program is at the path
// program, or is built below work if it is one of the project's own.
func (b *builder) content(ctx context.Context, r recipe, program, work string) (content, error) {
	refs, err := b.refs(ctx, r)
	if err != nil {
		return content{}, err
	}
	if r.own != "" {
		program = filepath.Join(work, r.name)
		tag, err := b.tag(ctx, r)
		if err != nil {
			return content{}, err
		}
		if err := tools.BuildProgram(ctx, b.root, r.own, "-s -w -X main.version="+tag, program); err != nil {
			return content{}, err
		}
	}
	c := content{refs: refs, user: r.user, entrypoint: []string{r.program}, files: []file{{path: r.program, source: program}}}
	if r.name == FluxOperator {
		source, err := b.operatorSource(ctx)
		if err != nil {
			return content{}, err
		}
		// Its distributions of Flux, where it looks for them, and its licence. It
		// works on no other system than that of the image which its Dockerfile starts
		// from, and that is in a registry: this has the part which it looks at.
		c.files = append(c.files,
			file{path: "/etc/os-release", text: distroless},
			file{path: "/data", source: filepath.Join(source, "config", "data")},
			file{path: "/licenses/LICENSE", source: filepath.Join(source, "LICENSE")})
	}
	return c, nil
}

package fluxgen

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/fluxcd/flux2/v2/pkg/manifestgen/install"
	"github.com/fluxcd/flux2/v2/pkg/manifestgen/kustomization"
)

// Options of Manifests. The zero value is what `flux install` does by default.
type Options struct {
	// Root of this repository: the folder that holds tools/flux and patches.
	// Empty: the closest one at or above the working directory.
	Root string
	// Namespace that Flux is installed in. Empty: flux-system.
	Namespace string
	// Components to install, by name. Empty: flux2's four defaults
	// (source-, kustomize-, helm- and notification-controller). The image
	// controllers and source-watcher are the others that flux2 knows.
	Components []string
}

// Manifests returns the install manifests of Flux as multi-document YAML, at
// the version of flux2 in tools/flux/go.mod.
//
// A controller that tools/flux/go.mod requires is built from its own module; it
// is an error when that is not the version that flux2 installs. Every other one
// comes from the newest distribution of the same minor version of Flux, which
// can be a patch version behind.
func Manifests(ctx context.Context, opts Options) ([]byte, error) {
	root := opts.Root
	if root == "" {
		var err error
		if root, err = repositoryRoot(); err != nil {
			return nil, err
		}
	}
	mods, err := modules(ctx, filepath.Join(root, "tools", "flux"))
	if err != nil {
		return nil, err
	}

	gen := install.MakeDefaultOptions()
	gen.Version = mods[flux2Module].Version
	if opts.Namespace != "" {
		gen.Namespace = opts.Namespace
	}
	if len(opts.Components) > 0 {
		gen.Components = opts.Components
	}

	work, err := os.MkdirTemp("", "fluxgen-")
	if err != nil {
		return nil, fmt.Errorf("making a work folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()

	base := filepath.Join(work, "base")
	if err := os.MkdirAll(base, 0o750); err != nil {
		return nil, fmt.Errorf("making the base folder: %w", err)
	}
	b := builder{modules: mods, work: work}
	for _, name := range append([]string{"rbac", "policies"}, gen.Components...) {
		content, err := b.base(name)
		if err != nil {
			return nil, fmt.Errorf("building the base of %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(base, name+".yaml"), content, 0o600); err != nil {
			return nil, fmt.Errorf("writing the base of %s: %w", name, err)
		}
	}

	manifest, err := install.Generate(gen, base)
	if err != nil {
		return nil, fmt.Errorf("generating the manifests of Flux %s: %w", gen.Version, err)
	}
	return []byte(manifest.Content), nil
}

// WithPatches returns manifests as a kustomization renders them that includes
// the given kustomize Components, folders of this repository such as
// patches/flux-ha. root is as in Options.
func WithPatches(root string, manifests []byte, components ...string) ([]byte, error) {
	if root == "" {
		var err error
		if root, err = repositoryRoot(); err != nil {
			return nil, err
		}
	}
	work, err := os.MkdirTemp("", "fluxgen-")
	if err != nil {
		return nil, fmt.Errorf("making a work folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()

	// kustomize reads below one root only, so the Components are copied beside
	// the manifests.
	overlay := filepath.Join(work, "overlay")
	if err := os.MkdirAll(overlay, 0o750); err != nil {
		return nil, fmt.Errorf("making the overlay folder: %w", err)
	}
	if err := os.WriteFile(filepath.Join(overlay, "flux.yaml"), manifests, 0o600); err != nil {
		return nil, fmt.Errorf("writing the manifests: %w", err)
	}
	var k strings.Builder
	k.WriteString("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- flux.yaml\ncomponents:\n")
	for _, c := range components {
		if err := os.CopyFS(filepath.Join(work, "components", c), os.DirFS(filepath.Join(root, c))); err != nil {
			return nil, fmt.Errorf("copying component %s: %w", c, err)
		}
		fmt.Fprintf(&k, "- ../components/%s\n", filepath.ToSlash(c))
	}
	if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte(k.String()), 0o600); err != nil {
		return nil, fmt.Errorf("writing the kustomization: %w", err)
	}
	out, err := kustomization.BuildWithRoot(work, overlay)
	if err != nil {
		return nil, fmt.Errorf("building Flux with %s: %w", strings.Join(components, ", "), err)
	}
	return out, nil
}

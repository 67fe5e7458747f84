package fluxgen

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/fluxcd/flux2/v2/pkg/manifestgen/kustomization"
)

// Operator returns the install manifests of flux-operator as multi-document YAML, as
// its own config/default renders them, at the version in tools/flux/go.mod. They are
// read from the module cache and nothing of them is kept. They install it in
// flux-system. root is as in Options.
func Operator(ctx context.Context, root string) ([]byte, error) {
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
	work, err := os.MkdirTemp("", "fluxgen-")
	if err != nil {
		return nil, fmt.Errorf("making a work folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()

	for _, dir := range []string{"crd", "manager", "default"} {
		if err := copyDir(filepath.Join(work, dir), filepath.Join(mods[distributionModule].Dir, "config", dir)); err != nil {
			return nil, err
		}
	}
	out, err := kustomization.BuildWithRoot(work, filepath.Join(work, "default"))
	if err != nil {
		return nil, fmt.Errorf("building the manifests of flux-operator %s: %w", mods[distributionModule].Version, err)
	}
	return out, nil
}

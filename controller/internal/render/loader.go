package render

import (
	"errors"
	"fmt"
	"path"

	"sigs.k8s.io/kustomize/api/ifc"
)

// loader gives kustomize's own transformers and generators the files of a
// kustomization in dir.
type loader struct {
	tree *tree
	dir  string
}

var _ ifc.Loader = loader{}

// Repo is empty: nothing comes from a remote repository.
func (l loader) Repo() string { return "" }

// Root is the kustomization's folder.
func (l loader) Root() string { return path.Join("/", l.dir) }

// New returns a loader for a folder that a kustomization names.
func (l loader) New(name string) (ifc.Loader, error) {
	rel, err := l.tree.resolve(l.dir, name)
	if err != nil {
		return nil, err
	}
	return loader{tree: l.tree, dir: rel}, nil
}

// Load reads a file that a kustomization names.
func (l loader) Load(name string) ([]byte, error) {
	rel, err := l.find(name)
	if err != nil {
		return nil, err
	}
	return l.tree.load(rel)
}

// yaml reads a file of YAML that a kustomization names.
func (l loader) yaml(name string) ([]byte, error) {
	rel, err := l.find(name)
	if err != nil {
		return nil, err
	}
	return l.tree.loadYAML(rel)
}

// find is the path of a file relative to the root.
func (l loader) find(name string) (string, error) {
	if name == "" {
		return "", errors.New("the name of a file is empty")
	}
	if isRemote(name) {
		return "", fmt.Errorf("%s is remote: nothing is fetched, copy it into the repository", name)
	}
	if l.tree.root == "" {
		return path.Join(l.dir, name), nil
	}
	return l.tree.resolve(l.dir, name)
}

// Cleanup has nothing to do.
func (l loader) Cleanup() error { return nil }

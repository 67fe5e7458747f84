package gitops

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/test/fluxrun"
	"github.com/mainstay-dev/mainstay/test/gitserver"
)

const (
	// Path is the folder of the user's repository that Flux applies.
	Path = "cluster"
	// folder is where flux/README.md has the user copy the manifests to.
	folder = Path + "/mainstay"
	// source is the manifest that says where the project comes from.
	source        = "source.yaml"
	kustomization = "kustomization.yaml"
)

// Names of what is installed.
const (
	// User is the GitRepository, and the Kustomization, of the user's repository: the
	// two objects that are applied by hand.
	User = "user"
	// Namespace of Mainstay.
	Namespace = "mainstay-system"
	// Program and Rules are the Kustomizations that flux/ defines.
	Program = "mainstay"
	Rules   = "mainstay-rules"
)

// project are the folders of this repository that are its package.
func project() []string { return []string{"clusters", "flux", "manifests", "patches"} }

// Repositories that Flux follows.
type Repositories struct {
	// Project has this project's folders as they are in the working tree.
	Project *gitserver.Repo
	// User has the manifests of flux/ below Path, which point at Project.
	User *gitserver.Repo
	// installed is what User has while Mainstay is installed.
	installed map[string][]byte
}

// Create makes both repositories on a server from the working tree at root, and
// installs Mainstay. Flux looks at them every interval, where the manifests that are
// shipped say ten minutes.
func Create(ctx context.Context, server *gitserver.Server, root string, interval time.Duration) (*Repositories, error) {
	var repos Repositories
	var err error
	if repos.Project, err = server.Create(ctx, Program); err != nil {
		return nil, err
	}
	if repos.User, err = server.Create(ctx, User); err != nil {
		return nil, err
	}
	for _, dir := range project() {
		if _, err := repos.Project.AddDir(ctx, "Add "+dir, dir, os.DirFS(filepath.Join(root, dir))); err != nil {
			return nil, err
		}
	}
	if repos.installed, err = userFiles(root, repos.Project.URL(), repos.Project.Branch(), interval); err != nil {
		return nil, err
	}
	if err := repos.Install(ctx); err != nil {
		return nil, err
	}
	return &repos, nil
}

// Sync is what has Flux follow the user's repository.
func (r *Repositories) Sync() fluxrun.SyncOptions {
	return fluxrun.SyncOptions{Name: User, URL: r.User.URL(), Branch: r.User.Branch(), Path: Path, Prune: true}
}

// Install adds to the user's repository what has Flux install Mainstay.
func (r *Repositories) Install(ctx context.Context) error {
	_, err := r.User.Commit(ctx, "Install Mainstay", r.installed)
	return err
}

// Uninstall removes from the user's repository what Install put there, as
// flux/README.md says. A file stays, because Git has no empty folders.
func (r *Repositories) Uninstall(ctx context.Context) error {
	_, err := r.User.Commit(ctx, "Remove Mainstay", map[string][]byte{
		folder:                         nil,
		path.Join(Path, kustomization): []byte("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: []\n"),
	})
	return err
}

// userFiles are the manifests of flux/, of which the source is the only one that is
// changed: it names another repository, and a branch instead of released versions.
func userFiles(root, url, branch string, interval time.Duration) (map[string][]byte, error) {
	dir := filepath.Join(root, "flux")
	files := map[string][]byte{}
	for _, name := range []string{kustomization, source, "mainstay.yaml", "rules.yaml"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("reading the manifests of flux/: %w", err)
		}
		if name == source {
			if content, err = pointAt(content, url, branch, interval); err != nil {
				return nil, fmt.Errorf("changing flux/%s: %w", name, err)
			}
		}
		files[path.Join(folder, name)] = content
	}
	files[path.Join(Path, kustomization)] = []byte("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- mainstay\n")
	return files, nil
}

// pointAt changes where a GitRepository manifest takes its content from.
func pointAt(manifest []byte, url, branch string, interval time.Duration) ([]byte, error) {
	var object map[string]any
	if err := yaml.UnmarshalStrict(manifest, &object); err != nil {
		return nil, err
	}
	spec, ok := object["spec"].(map[string]any)
	if !ok || object["kind"] != "GitRepository" {
		return nil, fmt.Errorf("it holds a %v without a spec, want a GitRepository", object["kind"])
	}
	spec["url"] = url
	spec["ref"] = map[string]any{"branch": branch}
	spec["interval"] = interval.String()
	return yaml.Marshal(object)
}

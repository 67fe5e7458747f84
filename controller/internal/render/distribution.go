package render

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

// distribution holds the base manifests of one or more versions of Flux, one
// file per component.
type distribution struct {
	files fs.FS
	// versions are the folders of files, by version with a leading v. A single
	// one whose version nothing names has "" as its version.
	versions map[string]string
	// pins is the folder with the images of each version, empty where there is
	// none.
	pins string
	// split holds the base manifests of a gotk-components.yaml, by name.
	split   map[string][]byte
	cleanup func()
}

// openDistribution opens a folder, a gotk-components.yaml or an OCI artifact.
// Symlinks are followed to the place that is named, and nowhere out of it.
func openDistribution(ctx context.Context, source string) (*distribution, error) {
	if reference, ok := strings.CutPrefix(source, "oci://"); ok {
		dir, err := pull(ctx, reference)
		if err != nil {
			return nil, err
		}
		d, err := openRoot(dir, "")
		if err != nil {
			_ = os.RemoveAll(dir)
			return nil, err
		}
		closed := d.cleanup
		d.cleanup = func() { closed(); _ = os.RemoveAll(dir) }
		return d, nil
	}
	info, err := os.Stat(source)
	if err != nil {
		return nil, unwrapPath(err)
	}
	if info.IsDir() {
		return openRoot(source, filepath.Base(source))
	}
	content, err := ReadYAML(os.DirFS(filepath.Dir(source)), filepath.Base(source), DefaultLimits().FileBytes)
	if err != nil {
		return nil, err
	}
	return splitComponents(content)
}

// openRoot opens a folder, which stays open until the distribution is closed.
func openRoot(dir, name string) (*distribution, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, unwrapPath(err)
	}
	d, err := openFolder(root.FS(), name)
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	d.cleanup = func() { _ = root.Close() }
	return d, nil
}

// openFolder finds the versions in a folder: below flux/, below itself, or
// itself.
func openFolder(files fs.FS, name string) (*distribution, error) {
	d := &distribution{files: files, versions: map[string]string{}}
	for _, dir := range []string{"flux", ".", "manifests"} {
		entries, err := fs.ReadDir(files, dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the folder: %w", unwrapPath(err))
		}
		if isBase(files, dir) {
			version := ""
			if _, err := semver.StrictNewVersion(strings.TrimPrefix(name, "v")); err == nil && dir == "." {
				version = "v" + strings.TrimPrefix(name, "v")
			}
			d.versions[version] = dir
			return d, nil
		}
		for _, entry := range entries {
			_, err := semver.StrictNewVersion(strings.TrimPrefix(entry.Name(), "v"))
			if err == nil && isBase(files, path.Join(dir, entry.Name())) {
				d.versions["v"+strings.TrimPrefix(entry.Name(), "v")] = path.Join(dir, entry.Name())
			}
		}
		if len(d.versions) > 0 {
			if pins := path.Join(path.Dir(dir), "flux-images"); dir == "flux" {
				d.pins = pins
			}
			return d, nil
		}
	}
	return nil, errors.New("it holds no version of Flux: want a folder with rbac.yaml and source-controller.yaml, or one such folder per version, named as v2.9.4, in it or in its folder flux")
}

func isBase(files fs.FS, dir string) bool {
	for _, name := range []string{"rbac.yaml", "source-controller.yaml"} {
		if _, err := fs.Stat(files, path.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

// close removes what opening has downloaded.
func (d *distribution) close() {
	if d.cleanup != nil {
		d.cleanup()
	}
}

// resolve is the newest version in a range.
func (d *distribution) resolve(rule string) (string, error) {
	constraint, err := semver.NewConstraint(rule)
	if err != nil {
		return "", fmt.Errorf("version %q is not a version or a range of versions: %w", rule, err)
	}
	if _, ok := d.versions[""]; ok {
		exact, err := semver.NewVersion(strings.TrimPrefix(strings.TrimSpace(rule), "="))
		if err != nil {
			return "", fmt.Errorf("the distribution does not say its version: put it into a folder named for it, as v2.9.4, or set an exact version in place of %q", rule)
		}
		return "v" + exact.String(), nil
	}
	var have []*semver.Version
	for name := range d.versions {
		version, err := semver.NewVersion(name)
		if err != nil {
			return "", fmt.Errorf("read the version %s: %w", name, err)
		}
		have = append(have, version)
	}
	slices.SortFunc(have, func(a, b *semver.Version) int { return b.Compare(a) })
	for _, version := range have {
		if constraint.Check(version) {
			return "v" + version.String(), nil
		}
	}
	return "", fmt.Errorf("the distribution has no version %q: it has %s to %s", rule, "v"+have[len(have)-1].String(), "v"+have[0].String())
}

// base is the manifest of a component, or of rbac or policies.
func (d *distribution) base(version, name string) ([]byte, error) {
	dir, ok := d.versions[version]
	if !ok {
		dir, ok = d.versions[""]
	}
	if !ok {
		return nil, fmt.Errorf("the distribution has no Flux %s", version)
	}
	if content, ok := d.split[name]; ok {
		return content, nil
	}
	if d.split != nil {
		return nil, fmt.Errorf("the distribution of Flux %s has no %s", version, name)
	}
	content, err := ReadYAML(d.files, path.Join(dir, name+".yaml"), DefaultLimits().FileBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the distribution of Flux %s has no %s", version, name)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s of Flux %s: %w", name, version, err)
	}
	return content, nil
}

// images are the tags and digests of a variant, none where the distribution
// does not pin them.
func (d *distribution) images(version, variant string) ([]types.Image, error) {
	if d.pins == "" || variant == "" {
		return nil, nil
	}
	content, err := ReadYAML(d.files, path.Join(d.pins, version, variant+".yaml"), DefaultLimits().FileBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the images of Flux %s: %w", version, err)
	}
	var list struct {
		Images []types.Image `json:"images"`
	}
	if err := yaml.Unmarshal(content, &list); err != nil {
		return nil, fmt.Errorf("read the images of Flux %s: %w", version, err)
	}
	return list.Images, nil
}

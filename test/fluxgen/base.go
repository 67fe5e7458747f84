package fluxgen

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/fluxcd/flux2/v2/pkg/manifestgen/kustomization"
	"k8s.io/apimachinery/pkg/util/version"
	kustypes "sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

// builder makes the files of the base folder that flux2's generator reads.
type builder struct {
	modules map[string]module
	work    string
}

// base returns what flux2's release archive holds in <name>.yaml.
func (b builder) base(name string) ([]byte, error) {
	flux2 := b.modules[flux2Module]
	switch name {
	case "rbac", "policies":
		return b.build(filepath.Join(flux2.Dir, "manifests", name), filepath.Join("flux2", name))
	}
	m, ok := b.modules[controllerModules+name]
	if !ok {
		return b.distributed(name)
	}
	return b.fromModule(name, m)
}

// fromModule builds flux2's own base of a controller, with the release files
// that it names by address replaced by what they are built from: the folders
// config/crd and config/manager of the controller's module.
func (b builder) fromModule(name string, m module) ([]byte, error) {
	for _, dir := range []string{"crd", "manager"} {
		if err := copyDir(filepath.Join(b.work, "modules", name, dir), filepath.Join(m.Dir, "config", dir)); err != nil {
			return nil, err
		}
	}
	src := filepath.Join(b.modules[flux2Module].Dir, "manifests", "bases", name)
	dst := filepath.Join(b.work, "bases", name)
	if err := copyDir(dst, src); err != nil {
		return nil, err
	}
	file := filepath.Join(dst, "kustomization.yaml")
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading flux2's base: %w", err)
	}
	content, err = localise(content, name, m.Version)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return nil, fmt.Errorf("writing flux2's base: %w", err)
	}
	return kustomization.BuildWithRoot(b.work, dst)
}

// localise replaces the release files that the base of a controller names by
// address with the folders of the controller's module. It is an error when they
// are of another version than the module, or when there are none.
func localise(content []byte, name, moduleVersion string) ([]byte, error) {
	var k kustypes.Kustomization
	if err := yaml.UnmarshalStrict(content, &k); err != nil {
		return nil, fmt.Errorf("reading flux2's base: %w", err)
	}
	release := regexp.MustCompile(`^https://.+/releases/download/(v[^/]+)/` + regexp.QuoteMeta(name) + `\.(crds|deployment)\.yaml$`)
	folders := map[string]string{"crds": "crd", "deployment": "manager"}
	replaced := 0
	for i, r := range k.Resources {
		if !strings.Contains(r, "://") {
			continue
		}
		match := release.FindStringSubmatch(r)
		if match == nil {
			return nil, fmt.Errorf("flux2's base names %s, which no folder of the module stands for", r)
		}
		if match[1] != moduleVersion {
			return nil, fmt.Errorf("flux2 installs version %s and the module is %s", match[1], moduleVersion)
		}
		k.Resources[i] = "../../modules/" + name + "/" + folders[match[2]]
		replaced++
	}
	if replaced == 0 {
		return nil, errors.New("flux2's base names no release file")
	}
	out, err := yaml.Marshal(k)
	if err != nil {
		return nil, fmt.Errorf("writing flux2's base: %w", err)
	}
	return out, nil
}

// distributed returns the ready base of a controller from the newest
// distribution of the same minor version of Flux.
func (b builder) distributed(name string) ([]byte, error) {
	dir := filepath.Join(b.modules[distributionModule].Dir, "config", "data", "flux")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the distributions: %w", err)
	}
	flux := b.modules[flux2Module].Version
	want, err := version.ParseSemantic(flux)
	if err != nil {
		return nil, fmt.Errorf("parsing the version of flux2: %w", err)
	}
	var newest *version.Version
	for _, e := range entries {
		v, err := version.ParseSemantic(e.Name())
		if err != nil || v.Major() != want.Major() || v.Minor() != want.Minor() || want.LessThan(v) {
			continue
		}
		if newest == nil || newest.LessThan(v) {
			newest = v
		}
	}
	if newest == nil {
		return nil, fmt.Errorf("there is no distribution of Flux %d.%d up to %s", want.Major(), want.Minor(), flux)
	}
	content, err := os.ReadFile(filepath.Join(dir, "v"+newest.String(), name+".yaml"))
	if os.IsNotExist(err) {
		return nil, fmt.Errorf("flux %s has no component of that name", newest)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the distribution: %w", err)
	}
	return content, nil
}

// build renders a copy of the kustomization in src.
func (b builder) build(src, name string) ([]byte, error) {
	dst := filepath.Join(b.work, name)
	if err := copyDir(dst, src); err != nil {
		return nil, err
	}
	return kustomization.BuildWithRoot(b.work, dst)
}

// copyDir copies a folder of the module cache, whose files are read-only, to
// one whose files can be written.
func copyDir(dst, src string) error {
	if err := os.CopyFS(dst, os.DirFS(src)); err != nil {
		return fmt.Errorf("copying %s: %w", src, err)
	}
	return nil
}

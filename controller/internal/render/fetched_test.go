package render

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	fluxkustomize "github.com/fluxcd/pkg/kustomize"
	"github.com/fluxcd/pkg/sourceignore"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func configMap(name string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n"
}

// fetched is a copy of what source-controller packs of a repository without a .sourceignore:
// what its Archive packs with its SourceIgnoreFilter.
func fetched(t *testing.T, root string) string {
	t.Helper()
	matcher := sourceignore.NewDefaultMatcher(nil, nil)
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || matcher.Match(strings.Split(name, "/"), false) {
			return err
		}
		content, err := os.ReadFile(filepath.Join(root, name))
		files[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return writeTree(t, files)
}

// Of a folder without a kustomization, what Flux applies is taken: not what
// source-controller leaves out.
func TestManifestsThatFluxFetches(t *testing.T) {
	for title, tc := range map[string]struct {
		files   map[string]string
		links   map[string]string // targets
		want    []string          // names of ConfigMaps
		leftOut []string
		dots    []string // left out, though Flux has them
	}{
		"settings of other tools": {
			files: map[string]string{
				"c/a.yaml": configMap("a"), "c/.sops.yaml": "creation_rules: []\n", "c/.gitlab-ci.yml": "stages: []\n",
				"c/x/.flux.yaml": "version: 1\n", "c/.github/workflows/w.yaml": "on: push\n", "c/.git/x.yaml": "none: of ours\n",
			},
			want: []string{"a"},
		},
		"folders whose name begins with a dot": {
			files: map[string]string{
				"c/a.yaml": configMap("a"), "c/.private/b.yaml": configMap("b"),
				"c/.more/kustomization.yaml": "namePrefix: x-\nresources: [d.yaml]\n", "c/.more/d.yaml": configMap("d"), "c/.more/e.yaml": configMap("e"),
			},
			want: []string{"a"}, dots: []string{"c/.more", "c/.private"},
		},
		"symlinks": {
			files: map[string]string{"c/a.yaml": configMap("a"), "d/b.yaml": configMap("b")},
			links: map[string]string{"c/b.yaml": "../d/b.yaml", "c/folder": "../d", "c/gone.yml": "nowhere", "c/outside.yaml": "/etc/hostname", "c/.sops.yaml": "a.yaml"},
			want:  []string{"a"}, leftOut: []string{"c/b.yaml", "c/folder", "c/gone.yml", "c/outside.yaml"},
		},
		"a kustomization that is a symlink": {
			files: map[string]string{"c/x/k": "resources: [a.yaml]\n", "c/x/a.yaml": configMap("a"), "c/x/b.yaml": configMap("b")},
			links: map[string]string{"c/x/kustomization.yaml": "k"},
			want:  []string{"a", "b"}, leftOut: []string{"c/x/kustomization.yaml"},
		},
	} {
		t.Run(title, func(t *testing.T) {
			root := writeTree(t, tc.files)
			for name, target := range tc.links {
				if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
					t.Fatal(err)
				}
			}
			got, err := Render(t.Context(), Options{Path: filepath.Join(root, "c"), Root: root})
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			objects := map[string]any{}
			for _, object := range got.Objects {
				o := object.Object
				names = append(names, o.GetName())
				objects[objectID(o.GetAPIVersion(), o.GetKind(), o.GetNamespace(), o.GetName())] = o.Object
			}
			if diff := cmp.Diff(tc.want, names); diff != "" {
				t.Errorf("ConfigMaps (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.leftOut, got.Symlinks.LeftOut); diff != "" || len(got.Symlinks.Followed) > 0 {
				t.Errorf("followed %v, left out (-want +got):\n%s", got.Symlinks.Followed, diff)
			}
			if diff := cmp.Diff(tc.dots, got.DotFolders); diff != "" {
				t.Errorf("folders left out (-want +got):\n%s", diff)
			}
			if len(tc.dots) > 0 {
				return
			}
			packed := fetched(t, root)
			if _, err := fluxkustomize.NewGenerator(packed, unstructured.Unstructured{Object: map[string]any{}}).WriteFile(filepath.Join(packed, "c")); err != nil {
				t.Fatal(err)
			}
			want, err := fluxkustomize.Build(filesys.MakeFsOnDisk(), filepath.Join(packed, "c"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(contents(t, want), objects); diff != "" {
				t.Errorf("objects (-Flux +render):\n%s", diff)
			}
		})
	}
}

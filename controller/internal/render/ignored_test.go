package render

import (
	"io/fs"
	"maps"
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

// fetched is a copy of what source-controller packs of a repository: what its Archive
// packs with its SourceIgnoreFilter.
func fetched(t *testing.T, root string) string {
	t.Helper()
	patterns, err := sourceignore.LoadIgnorePatterns(root, nil)
	if err != nil {
		t.Fatal(err)
	}
	matcher := sourceignore.NewDefaultMatcher(nil, nil)
	if len(patterns) > 0 {
		matcher = sourceignore.NewMatcher(append(sourceignore.VCSPatterns(nil), patterns...))
	}
	files := map[string]string{}
	err = fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
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
			want: []string{"a", "b", "x-d"},
		},
		"patterns of the root": {
			files: map[string]string{".sourceignore": "# notes\n\n/c/x/*\n!/c/x/b.yaml\n", "c/a.yaml": configMap("a"), "c/x/b.yaml": configMap("b"), "c/x/notes.yaml": "none"},
			want:  []string{"a", "b"},
		},
		"patterns of a folder, which win": {
			files: map[string]string{".sourceignore": "b*.yaml\n", "c/x/.sourceignore": "!b1.yaml\n/d.yaml\n", "c/x/b1.yaml": configMap("b1"), "c/b1.yaml": "none", "c/x/b2.yaml": "none", "c/x/d.yaml": "none", "c/d.yaml": configMap("d")},
			want:  []string{"b1", "d"},
		},
		// "-" sorts before ".", so the folder is met before the file of its parent.
		"patterns of a folder that is met first": {
			files: map[string]string{".sourceignore": "/c/-x/*\n", "c/.sourceignore": "b.yaml\n", "c/-x/.sourceignore": "!b.yaml\n", "c/-x/b.yaml": configMap("b")},
			want:  []string{"b"},
		},
		"one pattern elsewhere takes the place of the defaults": {
			files: map[string]string{"docs/.sourceignore": "*.md\n", "c/.github/a.yaml": configMap("a"), "c/.git/x.yaml": "none: of ours\n"},
			want:  []string{"a"},
		},
		"a file without a pattern does not": {
			files: map[string]string{".sourceignore": "# none\n", "c/a.yaml": configMap("a"), "c/.sops.yaml": "creation_rules: []\n"},
			want:  []string{"a"},
		},
		"symlinks": {
			files: map[string]string{"c/a.yaml": configMap("a"), "d/b.yaml": configMap("b")},
			links: map[string]string{"c/b.yaml": "../d/b.yaml", "c/folder": "../d", "c/gone.yml": "nowhere", "c/outside.yaml": "/etc/hostname", "c/.sops.yaml": "a.yaml"},
			want:  []string{"a"}, leftOut: []string{"c/b.yaml", "c/gone.yml", "c/outside.yaml"},
		},
		"a kustomization that is a symlink": {
			files: map[string]string{"c/x/k": "resources: [a.yaml]\n", "c/x/a.yaml": configMap("a"), "c/x/b.yaml": configMap("b")},
			links: map[string]string{"c/x/kustomization.yaml": "k"},
			want:  []string{"a", "b"}, leftOut: []string{"c/x/kustomization.yaml"},
		},
		"a kustomization that is left out": {
			files: map[string]string{".sourceignore": "kustomization.yaml\n", "c/x/kustomization.yaml": "resources: [a.yaml]\n", "c/x/a.yaml": configMap("a"), "c/x/b.yaml": configMap("b")},
			want:  []string{"a", "b"},
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

func TestIgnoreFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	outside := writeTree(t, map[string]string{"secret": "a.yaml\n"})
	long := strings.Repeat("a\n", 40<<10/2)
	for title, tc := range map[string]struct {
		files map[string]string
		link  string
		want  string
	}{
		"too much in all":    {files: map[string]string{".sourceignore": long, "d/.sourceignore": long}, want: "d/.sourceignore: all .sourceignore files have more than 65536 bytes"},
		"a file outside":     {link: filepath.Join(outside, "secret"), want: ".sourceignore: .sourceignore is a symlink to a place that is outside of the tree"},
		"a device":           {link: "/dev/zero", want: ".sourceignore: .sourceignore is a symlink to a place that is outside of the tree"},
		"all is left out":    {files: map[string]string{".sourceignore": "/c/\n"}, want: "c: there is no kustomization and no manifest that Flux would fetch"},
		"what Flux rejects":  {files: map[string]string{".sourceignore": "x\n", "c/.sops.yaml": "creation_rules: []\n"}, want: "c/.sops.yaml:1: read the manifest: missing Resource metadata"},
		"credentials of Git": {files: map[string]string{".git/config": "x\n"}, link: ".git/config", want: ".sourceignore: .sourceignore is Git's own, which may hold credentials: it is not read"},
	} {
		t.Run(title, func(t *testing.T) {
			files := map[string]string{"c/a.yaml": configMap("a")}
			maps.Copy(files, tc.files)
			root := writeTree(t, files)
			if tc.link != "" {
				if err := os.Symlink(tc.link, filepath.Join(root, ".sourceignore")); err != nil {
					t.Fatal(err)
				}
			}
			_, err := Render(t.Context(), Options{Path: filepath.Join(root, "c"), Root: root})
			mistake(t, err, tc.want)
		})
	}
}

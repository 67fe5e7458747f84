package render

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const validInstance = `apiVersion: fluxcd.controlplane.io/v1
kind: FluxInstance
metadata:
  name: flux
  namespace: flux-system
spec:
  distribution:
    version: 2.9.x
    registry: ghcr.io/fluxcd
`

func TestMistakes(t *testing.T) {
	t.Parallel()
	const one = "resources:\n- a.yaml\n"
	for title, tc := range map[string]struct {
		files  map[string]string
		start  string
		limits Limits
		want   string
	}{
		"missing base": {
			files: map[string]string{"kustomization.yaml": "resources:\n- a.yaml\n- ../gone\n", "x/kustomization.yaml": "resources:\n- ../gone\n"}, start: "x",
			want: "x/kustomization.yaml:2: ../gone: no such file or directory",
		},
		"cycle": {
			files: map[string]string{"x/kustomization.yaml": "resources:\n- ../y\n", "y/kustomization.yaml": "resources:\n- ../x\n"}, start: "x",
			want: "y/kustomization.yaml:2: a cycle: x -> y -> x",
		},
		"remote base": {
			files: map[string]string{"kustomization.yaml": "resources:\n- a.yaml\n- https://github.com/fluxcd/flux2//manifests/install?ref=v2.9.4\n"},
			want:  "kustomization.yaml:3: https://github.com/fluxcd/flux2//manifests/install?ref=v2.9.4 is remote: nothing is fetched, copy it into the repository",
		},
		"remote base without a scheme": {
			files: map[string]string{"kustomization.yaml": "resources:\n- github.com/fluxcd/flux2/manifests\n"},
			want:  "kustomization.yaml:2: github.com/fluxcd/flux2/manifests is remote: nothing is fetched, copy it into the repository",
		},
		"remote base in other letters": {
			files: map[string]string{"kustomization.yaml": "resources:\n- GitHub.com/o/r\n", "GitHub.com/o/r/kustomization.yaml": one, "GitHub.com/o/r/a.yaml": "{}"},
			want:  "kustomization.yaml:2: GitHub.com/o/r is remote: nothing is fetched, copy it into the repository",
		},
		"remote file of a plugin, deep inside": {
			files: map[string]string{
				"kustomization.yaml": one + "transformers:\n- r.yaml\n",
				"r.yaml":             "apiVersion: builtin\nkind: ReplacementTransformer\nmetadata: {name: r}\nreplacements:\n- path: http://127.0.0.1:1/x\n",
			},
			want: "kustomization.yaml:4: http://127.0.0.1:1/x is remote: nothing is fetched, copy it into the repository",
		},
		"a file of Git's own": {
			files: map[string]string{"kustomization.yaml": one + "configMapGenerator:\n- name: x\n  files: [.git/config]\n", ".git/config": "secret"},
			want:  "kustomization.yaml:4: loading KV pairs: file sources: [.git/config]: .git/config is Git's own, which may hold credentials: it is not read",
		},
		"remote component": {
			files: map[string]string{"kustomization.yaml": one + "components:\n- git@example.com:x/y\n"},
			want:  "kustomization.yaml:4: git@example.com:x/y is remote: nothing is fetched, copy it into the repository",
		},
		"remote patch": {
			files: map[string]string{"kustomization.yaml": one + "patches:\n- path: https://example.com/p.yaml\n"},
			want:  "kustomization.yaml:4: read the patch: https://example.com/p.yaml is remote: nothing is fetched, copy it into the repository",
		},
		"patch with a bad pointer": {
			files: map[string]string{"kustomization.yaml": one + "patches:\n- target: {kind: Deployment}\n  patch: '[{\"op\": \"replace\", \"path\": \"/spec/nope/x\", \"value\": 1}]'\n"},
			want:  "kustomization.yaml:4: apply the patch to kind=Deployment: replace operation does not apply: doc is missing path: /spec/nope/x: missing value",
		},
		"patch that adds below what is missing": {
			files: map[string]string{"kustomization.yaml": one + "patches:\n- target: {kind: Deployment}\n  patch: '[{\"op\": \"add\", \"path\": \"/spec/template/metadata/annotations/x\", \"value\": \"y\"}]'\n"},
			want:  `kustomization.yaml:4: apply the patch to kind=Deployment: add operation does not apply: doc is missing path: "/spec/template/metadata/annotations/x": missing value`,
		},
		"patch that names nobody": {
			files: map[string]string{"kustomization.yaml": one + "patches:\n- patch: |\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: b}\n"},
			want:  "kustomization.yaml:4: the patch names apps/v1/Deployment b, which is not there",
		},
		"patch file that is not there": {
			files: map[string]string{"kustomization.yaml": one + "patches:\n- path: gone.yaml\n"},
			want:  "kustomization.yaml:4: read the patch: gone.yaml: no such file or directory",
		},
		"manifest that does not parse": {
			files: map[string]string{"kustomization.yaml": one, "a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a\n"},
			want:  "a.yaml:2: does not parse: yaml: line 2: ",
		},
		"key that is there twice": {
			files: map[string]string{"kustomization.yaml": one, "a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n---\n" + deploymentA + "  replicas: 2\n"},
			want:  `a.yaml:25: mapping key "replicas" already defined at line 12`,
		},
		"key that is there twice in a List": {
			files: map[string]string{"kustomization.yaml": one, "a.yaml": "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: b, name: c}\n"},
			want:  `a.yaml:6: mapping key "name" already defined at line 6`,
		},
		"kustomization that does not parse": {
			files: map[string]string{"kustomization.yaml": "resources:\n  - a.yaml\n - b.yaml\n"},
			want:  "kustomization.yaml:2: does not parse: yaml: line 2: ",
		},
		"unknown field": {
			files: map[string]string{"kustomization.yaml": one + "patch: []\n"},
			want:  `kustomization.yaml:1: read the kustomization: invalid Kustomization: json: unknown field "patch"`,
		},
		"outside of the tree": {
			files: map[string]string{"kustomization.yaml": "resources:\n- ../../etc\n"},
			want:  "kustomization.yaml:2: ../../etc is outside of the tree: --root says how far up it may reach",
		},
		"absolute path": {
			files: map[string]string{"kustomization.yaml": "resources:\n- /etc/passwd\n"},
			want:  "kustomization.yaml:2: /etc/passwd is an absolute path; name it relative to the kustomization",
		},
		"large file": {
			files: map[string]string{"kustomization.yaml": one}, limits: Limits{FileBytes: 100, TotalBytes: 1 << 20, Files: 9, Depth: 9, Visits: 9, Nodes: 999},
			want: "kustomization.yaml:2: a.yaml has 296 bytes, more than the 100 that one file may have",
		},
		"too much": {
			files: map[string]string{"kustomization.yaml": one}, limits: Limits{FileBytes: 1000, TotalBytes: 100, Files: 9, Depth: 9, Visits: 9, Nodes: 999},
			want: "kustomization.yaml:2: the build reads more than 100 bytes: stopped at a.yaml",
		},
		"too many": {
			files: map[string]string{"kustomization.yaml": one}, limits: Limits{FileBytes: 1000, TotalBytes: 1000, Files: 1, Depth: 9, Visits: 9, Nodes: 999},
			want: "kustomization.yaml:2: the build reads more than 1 files: stopped at a.yaml",
		},
		"too deep": {
			files: map[string]string{"kustomization.yaml": "resources: [x]\n", "x/kustomization.yaml": "resources: [z]\n", "x/z/kustomization.yaml": "namePrefix: z\n"}, limits: Limits{FileBytes: 1000, TotalBytes: 1000, Files: 9, Depth: 2, Visits: 9, Nodes: 999},
			want: "x/kustomization.yaml:1: kustomizations name each other more than 2 deep",
		},
		"chart": {
			files: map[string]string{"kustomization.yaml": one + "helmCharts:\n- name: x\n"},
			want:  "kustomization.yaml:4: charts are not rendered: Flux has HelmReleases for them",
		},
		"exec plugin": {
			files: map[string]string{"kustomization.yaml": one + "transformers:\n- |\n  apiVersion: example.com/v1\n  kind: Own\n  metadata:\n    name: x\n    annotations:\n      config.kubernetes.io/function: 'exec: {path: ./x}'\n"},
			want:  "kustomization.yaml:4: plugin example.com/v1/Own is not run: only kustomize's builtin ones are, without charts",
		},
		"component as a resource": {
			files: map[string]string{"kustomization.yaml": "resources:\n- c\n", "c/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnamePrefix: x\n"},
			want:  "kustomization.yaml:2: c is a Component: name it under components",
		},
		"the same object twice": {
			files: map[string]string{"kustomization.yaml": "resources:\n- a.yaml\n- b.yaml\n", "b.yaml": deploymentA},
			want:  "kustomization.yaml:3: may not add resource with an already registered id: Deployment.v1.apps/a.[noNs]",
		},
		"two kustomizations in a folder": {
			files: map[string]string{"kustomization.yaml": one, "kustomization.yml": one},
			want:  "kustomization.yml: kustomization.yaml is there too: a folder has one kustomization",
		},
		"no manifest": {
			files: map[string]string{"x/notes.txt": "none"}, start: "x",
			want: "x: there is no kustomization and no manifest",
		},
		"instance without a distribution": {
			files: map[string]string{"kustomization.yaml": one, "a.yaml": validInstance},
			want:  "a.yaml:8: FluxInstance flux-system/flux: no distribution of Flux 2.9.x was given: pass --distribution with a folder of manifests, a gotk-components.yaml, or oci://ghcr.io/controlplaneio-fluxcd/flux-operator-manifests",
		},
		"instance with an unknown field": {
			files: map[string]string{"kustomization.yaml": one, "a.yaml": validInstance + "  clusters: {}\n"},
			want:  `a.yaml:7: FluxInstance flux-system/flux: does not parse: json: unknown field "clusters"`,
		},
		"instance with a field of another type": {
			files: map[string]string{"kustomization.yaml": one, "a.yaml": validInstance + "  components: all\n"},
			want:  "a.yaml:7: FluxInstance flux-system/flux: does not parse: json: cannot unmarshal string into Go struct field instanceSpec.spec.components of type []string",
		},
		"instance with an unknown size": {
			files: map[string]string{"kustomization.yaml": one, "a.yaml": validInstance + "  cluster:\n    type: aws\n    size: huge\n"},
			want:  `a.yaml:12: FluxInstance flux-system/flux: spec.cluster.size is "huge", want one of small, medium, large`,
		},
		"instance with an unknown component": {
			files: map[string]string{"kustomization.yaml": one, "a.yaml": validInstance + "  components:\n  - source-controller\n  - flagger\n"},
			want:  `a.yaml:12: FluxInstance flux-system/flux: spec.components.1 is "flagger", want one of `,
		},
		"instance without a registry": {
			files: map[string]string{"kustomization.yaml": one, "a.yaml": strings.Replace(validInstance, "registry", "variant", 1)},
			want:  "a.yaml:8: FluxInstance flux-system/flux: spec.distribution.registry is required",
		},
	} {
		t.Run(title, func(t *testing.T) {
			if _, ok := tc.files["a.yaml"]; !ok {
				tc.files["a.yaml"] = deploymentA
			}
			root := writeTree(t, tc.files)
			_, err := Render(t.Context(), Options{Path: filepath.Join(root, tc.start), Root: root, Limits: tc.limits})
			mistake(t, err, tc.want)
		})
	}
}

// mistake wants an error that starts with a text, and that is no other type.
func mistake(t *testing.T, err error, want string) {
	t.Helper()
	var placed *Error
	if !errors.As(err, &placed) {
		t.Fatalf("error = %v, want an *Error", err)
	}
	if !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error:\n%s\nwant:\n%s", err, want)
	}
}

func TestSymlinks(t *testing.T) {
	t.Parallel()
	outside := writeTree(t, map[string]string{"a.yaml": deploymentA, "kustomization.yaml": "resources: [a.yaml]\n"})
	for title, tc := range map[string]struct {
		target, name  string
		want, follows string
	}{
		"a file outside":           {target: filepath.Join(outside, "a.yaml"), name: "link.yaml", want: "kustomization.yaml:2: link.yaml is a symlink to a place that is outside of the tree"},
		"a folder outside":         {target: outside, name: "link", want: "kustomization.yaml:2: link is a symlink to a place that is outside of the tree"},
		"a file that is not there": {target: "gone", name: "link", want: "kustomization.yaml:2: link: no such file or directory"},
		"a file inside":            {target: "a.yaml", name: "link.yaml", follows: "link.yaml"},
		"a folder inside":          {target: "base", name: "link", follows: "link"},
	} {
		t.Run(title, func(t *testing.T) {
			root := writeTree(t, map[string]string{
				"a.yaml": deploymentA, "kustomization.yaml": "resources:\n- " + tc.name + "\n",
				"base/kustomization.yaml": "resources: [b.yaml]\n", "base/b.yaml": deploymentA,
			})
			if err := os.Symlink(tc.target, filepath.Join(root, tc.name)); err != nil {
				t.Fatal(err)
			}
			got, err := Render(t.Context(), Options{Path: root, Root: root})
			if tc.want == "" {
				if err != nil || len(got.Objects) != 1 || !slices.Equal(got.Symlinks.Followed, []string{tc.follows}) {
					t.Fatalf("objects = %v, %v; want one, and %s followed", got, err, tc.follows)
				}
				return
			}
			mistake(t, err, tc.want)
		})
	}
}

func TestFiftyMegabytes(t *testing.T) {
	t.Parallel()
	root := writeTree(t, map[string]string{"kustomization.yaml": "resources:\n- a.yaml\n", "a.yaml": ""})
	if err := os.Truncate(filepath.Join(root, "a.yaml"), 50<<20); err != nil {
		t.Fatal(err)
	}
	_, err := Render(t.Context(), Options{Path: root, Root: root})
	mistake(t, err, "kustomization.yaml:2: a.yaml has 52428800 bytes, more than the 16777216 that one file may have")
}

package render

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// The objects on which the patches are verified have to be those that kustomize
// builds.
func TestThePatchesAreVerifiedOnWhatKustomizeBuilds(t *testing.T) {
	repository, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	deep := writeTree(t, map[string]string{
		"a/kustomization.yaml":     "namePrefix: p-\nnameSuffix: -s\ncommonLabels: {team: one}\ncommonAnnotations: {note: two}\nresources: [a.yaml, c.yaml]\ncomponents: [../extra]\nimages:\n- {name: example.com/a, newName: mirror/a, newTag: v9}\n",
		"a/a.yaml":                 deploymentA,
		"a/c.yaml":                 "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, annotations: {keep: me}}\ndata: {k: v}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: local, annotations: {config.kubernetes.io/local-config: 'true'}}\n",
		"extra/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [pdb.yaml]\npatches:\n- target: {kind: Deployment}" + replicasOf + "3\n",
		"extra/pdb.yaml":           "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: a}\nspec: {maxUnavailable: 1}\n",
		"top/kustomization.yaml":   "namespace: ns\nresources: [../a]\nlabels:\n- pairs: {env: prod}\n  includeTemplates: true\nreplicas:\n- {name: a, count: 5}\npatches:\n- path: p.yaml\ntransformers: [t.yaml]\nreplacements:\n- source: {kind: ConfigMap, name: c, fieldPath: data.k}\n  targets:\n  - select: {kind: Deployment}\n    fieldPaths: [spec.template.spec.containers.0.name]\n",
		"top/p.yaml":               "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: p-a-s}\nspec: {minReadySeconds: 7}\n",
		"top/t.yaml":               "apiVersion: builtin\nkind: AnnotationsTransformer\nmetadata: {name: t}\nannotations: {late: 'yes'}\nfieldSpecs: [{path: metadata/annotations, create: true}]\n",
	})
	for name, tc := range map[string]struct{ root, start string }{
		"names, labels, a Component and transformers": {deep, "top"},
		"the overlay for one node":                    {repository, "clusters/local"},
		"the overlay for production":                  {repository, "clusters/production"},
	} {
		t.Run(name, func(t *testing.T) {
			tree, err := openTree(filepath.Join(tc.root, tc.start), tc.root, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			w := newWalk(t.Context(), tree)
			acc := &accumulated{resources: resmap.New()}
			if err := w.directory(tree.start, nil, Origin{}, acc); err != nil {
				t.Fatal(err)
			}
			options := krusty.MakeDefaultOptions()
			options.Reorder = krusty.ReorderOptionNone
			want, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), filepath.Join(tc.root, tc.start))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(contents(t, want), contents(t, acc.resources)); diff != "" {
				t.Errorf("objects (-kustomize +verified):\n%s", diff)
			}
		})
	}
}

func contents(t *testing.T, m resmap.ResMap) map[string]any {
	t.Helper()
	out := map[string]any{}
	for _, res := range m.Resources() {
		content, err := snapshot(res)
		if err != nil {
			t.Fatal(err)
		}
		if res.GetAnnotations()["config.kubernetes.io/local-config"] == "" {
			out[resourceID(res)] = content
		}
	}
	return out
}

// The objects and their order are those of kustomize build.
func TestTheObjectsAreKustomizes(t *testing.T) {
	repository, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	start := filepath.Join(repository, "clusters", "production")
	got, err := Render(t.Context(), Options{Path: start, Root: repository})
	if err != nil {
		t.Fatal(err)
	}
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified // as the command line has it
	built, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), start)
	if err != nil {
		t.Fatal(err)
	}
	want, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	var have bytes.Buffer
	for _, object := range got.Objects {
		content, err := yaml.Marshal(object.Object.Object)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&have, "---\n%s", content)
	}
	parse := func(text []byte) []any {
		var out []any
		for part := range bytes.SplitSeq(text, []byte("\n---\n")) {
			var object any
			if err := yaml.Unmarshal(bytes.TrimPrefix(part, []byte("---\n")), &object); err != nil {
				t.Fatal(err)
			}
			out = append(out, object)
		}
		return out
	}
	if diff := cmp.Diff(parse(want), parse(have.Bytes())); diff != "" {
		t.Errorf("objects (-kustomize +render):\n%s", diff)
	}
}

// A repository of 500 manifests in 25 folders, each with a namespace, labels and
// patches, under one overlay.
func BenchmarkRender(b *testing.B) {
	root := b.TempDir()
	var top strings.Builder
	top.WriteString("resources:\n")
	for i := range 25 {
		dir := filepath.Join(root, fmt.Sprintf("app%d", i))
		if err := os.MkdirAll(dir, 0o750); err != nil {
			b.Fatal(err)
		}
		var k strings.Builder
		fmt.Fprintf(&k, "namespace: app%d\ncommonLabels: {app.kubernetes.io/part-of: app%d}\npatches:\n- target: {kind: Deployment}%s2\n- target: {name: a.*}%s3\nresources:\n", i, i, replicasOf, replicasOf)
		for j := range 20 {
			name := fmt.Sprintf("d%d.yaml", j)
			k.WriteString("- " + name + "\n")
			content := bytes.ReplaceAll([]byte(deploymentA), []byte("name: a\n"), fmt.Appendf(nil, "name: a%d\n", j))
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				b.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(k.String()), 0o600); err != nil {
			b.Fatal(err)
		}
		fmt.Fprintf(&top, "- app%d\n", i)
	}
	if err := os.WriteFile(filepath.Join(root, "kustomization.yaml"), []byte(top.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	b.Run("render", func(b *testing.B) {
		for b.Loop() {
			got, err := Render(b.Context(), Options{Path: root, Root: root})
			if err != nil {
				b.Fatal(err)
			}
			if len(got.Objects) != 500 || len(got.Patches) != 50 || len(got.Patches[0].Changes) != 20 {
				b.Fatalf("got %d objects and %d patches", len(got.Objects), len(got.Patches))
			}
		}
	})
	b.Run("kustomize alone", func(b *testing.B) {
		for b.Loop() {
			out, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), root)
			if err != nil {
				b.Fatal(err)
			}
			if out.Size() != 500 {
				b.Fatalf("got %d objects", out.Size())
			}
		}
	})
}

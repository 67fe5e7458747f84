package render

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const replicasOf = `
  patch: |
    - op: replace
      path: /spec/replicas
      value: `

func TestPatches(t *testing.T) {
	t.Parallel()
	const name = "apps/v1/Deployment a"
	for title, tc := range map[string]struct {
		files map[string]string
		start string
		want  []Patch
	}{
		"hit and changed, then overridden": {
			files: map[string]string{
				"kustomization.yaml": "resources: [a.yaml]\npatches:\n- target: {kind: Deployment}" + replicasOf + "2\n# why not\n- target: {name: a}" + replicasOf + "3\n",
			},
			want: []Patch{
				{
					Origin: Origin{Path: "kustomization.yaml", Line: 3}, List: "patches", Kind: JSON6902, Target: "kind=Deployment",
					Matched: []string{name}, Changes: []Change{{Target: name, Field: "/spec/replicas", Before: int64(1), After: int64(2)}},
					OverriddenBy: []Override{{By: 1, Target: name, Field: "/spec/replicas", Set: int64(3)}},
				},
				{
					Origin: Origin{Path: "kustomization.yaml", Line: 9}, List: "patches", Index: 1, Kind: JSON6902, Target: "name=a", Comment: "why not",
					Matched: []string{name}, Changes: []Change{{Target: name, Field: "/spec/replicas", Before: int64(2), After: int64(3)}},
				},
			},
		},
		"states again what is there": {
			files: map[string]string{"kustomization.yaml": "resources: [a.yaml]\npatches:\n- target: {kind: Deployment}" + replicasOf + "1\n"},
			want: []Patch{{
				Origin: Origin{Path: "kustomization.yaml", Line: 3}, List: "patches", Kind: JSON6902, Target: "kind=Deployment", Matched: []string{name},
			}},
		},
		"selects by a namespace that is set later": {
			files: map[string]string{"kustomization.yaml": "namespace: ns\nresources: [a.yaml]\npatches:\n- target: {kind: Deployment, namespace: ns}" + replicasOf + "2\n"},
			want: []Patch{{
				Origin: Origin{Path: "kustomization.yaml", Line: 4}, List: "patches", Kind: JSON6902, Target: "kind=Deployment namespace=ns",
			}},
		},
		"selects in an overlay by the name and namespace of the base": {
			files: map[string]string{
				"base/kustomization.yaml":    "namespace: ns\nnamePrefix: x-\nresources: [a.yaml]\n",
				"base/a.yaml":                deploymentA,
				"overlay/kustomization.yaml": "resources: [../base]\npatches:\n- target: {name: x-a, namespace: ns}" + replicasOf + "2\n- target: {name: a}" + replicasOf + "3\n",
			},
			start: "overlay",
			want: []Patch{
				{
					Origin: Origin{Path: "overlay/kustomization.yaml", Line: 3}, List: "patches", Kind: JSON6902, Target: "namespace=ns name=x-a",
					Matched: []string{"apps/v1/Deployment ns/x-a"}, Changes: []Change{{Target: "apps/v1/Deployment ns/x-a", Field: "/spec/replicas", Before: int64(1), After: int64(2)}},
					OverriddenBy: []Override{{By: 1, Target: "apps/v1/Deployment ns/x-a", Field: "/spec/replicas", Set: int64(3)}},
				},
				{
					Origin: Origin{Path: "overlay/kustomization.yaml", Line: 8}, List: "patches", Index: 1, Kind: JSON6902, Target: "name=a",
					Matched: []string{"apps/v1/Deployment ns/x-a"}, Changes: []Change{{Target: "apps/v1/Deployment ns/x-a", Field: "/spec/replicas", Before: int64(2), After: int64(3)}},
				},
			},
		},
		"in a Component, from a file": {
			files: map[string]string{
				"kustomization.yaml":   "resources: [a.yaml]\ncomponents: [c]\n",
				"c/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n- path: p.yaml\n",
				"c/p.yaml":             "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {paused: true}\n",
			},
			want: []Patch{{
				Origin: Origin{Path: "c/kustomization.yaml", Line: 4}, List: "patches", Kind: StrategicMerge, File: "c/p.yaml", Target: name,
				Matched: []string{name}, Changes: []Change{{Target: name, Field: "/spec/paused", After: true}},
			}},
		},
		"deletes": {
			files: map[string]string{
				"kustomization.yaml": "resources: [a.yaml, b.yaml]\npatches:\n- target: {kind: ConfigMap}\n  patch: |\n    $patch: delete\n    apiVersion: v1\n    kind: ConfigMap\n    metadata: {name: any}\n",
				"b.yaml":             "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n",
			},
			want: []Patch{{
				Origin: Origin{Path: "kustomization.yaml", Line: 3}, List: "patches", Kind: StrategicMerge, Target: "kind=ConfigMap", Matched: []string{"v1/ConfigMap b"},
				Changes: []Change{{Target: "v1/ConfigMap b", Before: map[string]any{
					"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "b"},
				}}},
			}},
		},
		"deletes the object that it names, before another patch": {
			files: map[string]string{
				"kustomization.yaml": "resources: [a.yaml, b.yaml]\npatches:\n- patch: |\n    $patch: delete\n    apiVersion: v1\n    kind: ConfigMap\n    metadata: {name: b}\n- target: {kind: ConfigMap}\n  patch: '[{\"op\": \"remove\", \"path\": \"/data\"}]'\n",
				"b.yaml":             "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n",
			},
			want: []Patch{
				{
					Origin: Origin{Path: "kustomization.yaml", Line: 3}, List: "patches", Kind: StrategicMerge, Target: "v1/ConfigMap b", Matched: []string{"v1/ConfigMap b"},
					Changes: []Change{{Target: "v1/ConfigMap b", Before: map[string]any{
						"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "b"},
					}}},
				},
				{Origin: Origin{Path: "kustomization.yaml", Line: 8}, List: "patches", Index: 1, Kind: JSON6902, Target: "kind=ConfigMap"},
			},
		},
		"images, replicas and older lists, in kustomize's order": {
			files: map[string]string{"kustomization.yaml": `resources: [a.yaml]
images:
- name: example.com/a
  newTag: v2
- name: example.com/none
  newTag: v2
replicas:
- name: a
  count: 4
patchesStrategicMerge:
- |
  apiVersion: apps/v1
  kind: Deployment
  metadata: {name: a}
  spec: {replicas: 9}
`},
			want: []Patch{
				{
					Origin: Origin{Path: "kustomization.yaml", Line: 11}, List: "patchesStrategicMerge", Kind: StrategicMerge, Target: name, Matched: []string{name},
					Changes: []Change{{Target: name, Field: "/spec/replicas", Before: int64(1), After: int64(9)}}, OverriddenBy: []Override{{By: 1, Target: name, Field: "/spec/replicas", Set: int64(4)}},
				},
				{
					Origin: Origin{Path: "kustomization.yaml", Line: 8}, List: "replicas", Kind: Replicas, Target: "name=a", Matched: []string{name},
					Changes: []Change{{Target: name, Field: "/spec/replicas", Before: int64(9), After: int64(4)}},
				},
				{
					Origin: Origin{Path: "kustomization.yaml", Line: 3}, List: "images", Kind: Images, Target: "name=example.com/a", Matched: []string{name},
					Changes: []Change{{Target: name, Field: "/spec/template/spec/containers/0/image", Before: "example.com/a:v1", After: "example.com/a:v2"}},
				},
				{Origin: Origin{Path: "kustomization.yaml", Line: 5}, List: "images", Index: 1, Kind: Images, Target: "name=example.com/none"},
			},
		},
		"a replacement": {
			files: map[string]string{"kustomization.yaml": `resources: [a.yaml]
replacements:
- source: {kind: Deployment, name: a, fieldPath: metadata.name}
  targets:
  - select: {kind: Deployment, name: a}
    fieldPaths: [spec.template.spec.containers.0.name]
`},
			want: []Patch{{
				Origin: Origin{Path: "kustomization.yaml", Line: 3}, List: "replacements", Kind: Replacement, Target: "kind=Deployment name=a", Matched: []string{name},
				Changes: []Change{{Target: name, Field: "/spec/template/spec/containers/0/name", Before: "main", After: "a"}},
			}},
		},
		"what is appended to a list is no override": {
			files: map[string]string{"kustomization.yaml": `resources: [a.yaml]
patches:
- target: {kind: Deployment}
  patch: '[{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--two"}]'
- target: {kind: Deployment}
  patch: '[{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--three"}]'
`},
			want: []Patch{
				{
					Origin: Origin{Path: "kustomization.yaml", Line: 3}, List: "patches", Kind: JSON6902, Target: "kind=Deployment", Matched: []string{name},
					Changes: []Change{{Target: name, Field: "/spec/template/spec/containers/0/args/1", After: "--two"}},
				},
				{
					Origin: Origin{Path: "kustomization.yaml", Line: 5}, List: "patches", Index: 1, Kind: JSON6902, Target: "kind=Deployment", Matched: []string{name},
					Changes: []Change{{Target: name, Field: "/spec/template/spec/containers/0/args/2", After: "--three"}},
				},
			},
		},
	} {
		t.Run(title, func(t *testing.T) {
			if _, ok := tc.files["base/a.yaml"]; !ok {
				tc.files["a.yaml"] = deploymentA
			}
			root := writeTree(t, tc.files)
			got, err := Render(t.Context(), Options{Path: filepath.Join(root, tc.start), Root: root})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got.Patches); diff != "" {
				t.Errorf("patches (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	root := writeTree(t, map[string]string{
		"base/kustomization.yaml": "namePrefix: x-\nresources: [two.yaml]\nconfigMapGenerator:\n- name: made\n  literals: [k=v]\n",
		"base/two.yaml":           "# a comment\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: two}\n",
		"top/kustomization.yaml":  "namespace: ns\nresources: [../base]\n",
	})
	got, err := Render(t.Context(), Options{Path: filepath.Join(root, "top"), Root: root})
	if err != nil {
		t.Fatal(err)
	}
	origins := map[string]Origin{}
	for _, object := range got.Objects {
		origins[object.Object.GetName()] = object.Origin
	}
	want := map[string]Origin{
		"x-one":             {Path: "base/two.yaml", Line: 2},
		"x-two":             {Path: "base/two.yaml", Line: 9},
		"x-made-h28k9b5dh6": {Path: "base/kustomization.yaml", Line: 4},
	}
	for name := range origins {
		if _, ok := want[name]; !ok && len(name) == len("x-made-h28k9b5dh6") {
			want[name] = want["x-made-h28k9b5dh6"]
			delete(want, "x-made-h28k9b5dh6")
		}
	}
	if diff := cmp.Diff(want, origins); diff != "" {
		t.Errorf("origins (-want +got):\n%s", diff)
	}
}

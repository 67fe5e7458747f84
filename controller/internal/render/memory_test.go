package render

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// Names that kustomize takes on a disk, of every kind of file.
func TestNamesWithBlanksAndPunctuation(t *testing.T) {
	t.Parallel()
	root := writeTree(t, map[string]string{
		"top, of all/kustomization.yaml": "namePrefix: x-\nresources:\n- ../base (of a+b)\n- my file's [1] & more.yaml\ncomponents: ['../comp;onent=$1']\n" +
			"patches:\n- path: my patch (1).yaml\npatchesStrategicMerge: ['~p#2.yaml']\ntransformers: ['t {x}.yaml']\nreplacements: [{path: r%20.yaml}]\n" +
			"configMapGenerator:\n- {name: c, files: ['a b (1)!.conf', 'key=ü,ß.conf'], envs: ['e v?.env']}\n",
		"top, of all/my file's [1] & more.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n",
		"top, of all/my patch (1).yaml":         "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: 3}\n",
		"top, of all/~p#2.yaml":                 "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {minReadySeconds: 3}\n",
		"top, of all/t {x}.yaml":                "apiVersion: builtin\nkind: AnnotationsTransformer\nmetadata: {name: t}\nannotations: {late: 'yes'}\nfieldSpecs: [{path: metadata/annotations, create: true}]\n",
		"top, of all/r%20.yaml":                 "source: {kind: Deployment, fieldPath: metadata.name}\ntargets:\n- select: {kind: ConfigMap, name: m}\n  fieldPaths: [metadata.labels.of]\n  options: {create: true}\n",
		"top, of all/a b (1)!.conf":             "one",
		"top, of all/ü,ß.conf":                  "two",
		"top, of all/e v?.env":                  "k=v\n",
		"base (of a+b)/kustomization.yaml":      "resources: [a.yaml]\n",
		"base (of a+b)/a.yaml":                  deploymentA,
		"comp;onent=$1/kustomization.yaml":      "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nlabels: [{pairs: {c: d}}]\n",
	})
	start := filepath.Join(root, "top, of all")
	got, err := Render(t.Context(), Options{Path: start, Root: root})
	if err != nil {
		t.Fatal(err)
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), start)
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]any{}
	for _, object := range got.Objects {
		o := object.Object
		have[objectID(o.GetAPIVersion(), o.GetKind(), o.GetNamespace(), o.GetName())] = o.Object
	}
	if diff := cmp.Diff(contents(t, built), have); diff != "" {
		t.Errorf("objects (-kustomize +render):\n%s", diff)
	}
	for _, p := range got.Patches {
		if len(p.Changes) == 0 {
			t.Errorf("%s %d (%s) changes nothing", p.List, p.Index, p.File)
		}
	}
}

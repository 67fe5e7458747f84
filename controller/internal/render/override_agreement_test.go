package render

import (
	"path/filepath"
	"testing"

	fluxkustomize "github.com/fluxcd/pkg/kustomize"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// The kustomization that kustomize-controller writes gives the same.
func TestTheOverridesAreFluxs(t *testing.T) {
	const resources = "resources: [a.yaml, s.yaml]\nconfigMapGenerator:\n- name: made\n  literals: [k=v]\n"
	files := map[string]string{
		"a.yaml": deploymentA,
		"s.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: ns}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: ns}\n" +
			"---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: b}\nroleRef: {kind: ClusterRole, name: view, apiGroup: rbac.authorization.k8s.io}\nsubjects:\n- {kind: ServiceAccount, name: default, namespace: ns}\n",
	}
	for name, tc := range map[string]struct {
		kustomization string
		set           Overrides
	}{
		"a namespace":                {resources, Overrides{Namespace: "shop"}},
		"in the place of another":    {resources + "namespace: web\nnamePrefix: x-\n", Overrides{Namespace: "shop"}},
		"names":                      {resources, Overrides{NamePrefix: "p-", NameSuffix: "-s"}},
		"all, before patches see it": {resources + "patches:\n- target: {kind: Deployment, name: a}" + replicasOf + "7\n", Overrides{Namespace: "shop", NamePrefix: "p-", NameSuffix: "-s"}},
		"a folder of manifests":      {"", Overrides{Namespace: "shop"}},
		"nothing":                    {resources + "namespace: web\n", Overrides{}},
	} {
		t.Run(name, func(t *testing.T) {
			tree := map[string]string{"apps/a.yaml": files["a.yaml"], "apps/s.yaml": files["s.yaml"]}
			if tc.kustomization != "" {
				tree["apps/kustomization.yaml"] = tc.kustomization
			}
			root := writeTree(t, tree)
			got, err := Render(t.Context(), Options{Path: filepath.Join(root, "apps"), Root: root, Overrides: tc.set})
			if err != nil {
				t.Fatal(err)
			}
			spec := map[string]any{}
			for field, value := range map[string]string{"targetNamespace": tc.set.Namespace, "namePrefix": tc.set.NamePrefix, "nameSuffix": tc.set.NameSuffix} {
				if value != "" {
					spec[field] = value
				}
			}
			by := unstructured.Unstructured{Object: map[string]any{"spec": spec}}
			if _, err := fluxkustomize.NewGenerator(root, by).WriteFile(filepath.Join(root, "apps")); err != nil {
				t.Fatal(err)
			}
			want, err := fluxkustomize.Build(filesys.MakeFsOnDisk(), filepath.Join(root, "apps"))
			if err != nil {
				t.Fatal(err)
			}
			objects := map[string]any{}
			for _, object := range got.Objects {
				o := object.Object
				objects[objectID(o.GetAPIVersion(), o.GetKind(), o.GetNamespace(), o.GetName())] = o.Object
			}
			if diff := cmp.Diff(contents(t, want), objects); diff != "" {
				t.Errorf("objects (-Flux +render):\n%s", diff)
			}
		})
	}
}

package render

import (
	"testing"

	fluxkustomize "github.com/fluxcd/pkg/kustomize"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/yaml"
)

// The function that kustomize-controller calls gives the same.
func TestTheVariablesAreFluxs(t *testing.T) {
	t.Parallel()
	const kustomization = `apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: k, namespace: flux-system}
spec:
  path: ./apps
  postBuild:
    substitute: {CLUSTER: prod, COUNT: "3", TEXT: "a: b\nc", EMPTY: "", OCTAL: "0755", YES: "yes", QUOTED: '"3"'}
`
	for name, text := range map[string]string{
		"types":     "spec: {replicas: '${COUNT}', a: '${YES}', b: '${OCTAL}', c: '${QUOTED}', d: '${EMPTY}', e: '${NOBODY}'}",
		"texts":     "spec: {a: '${CLUSTER}-x', b: 'x: ${TEXT}', c: '$CLUSTER', d: '$${CLUSTER}', e: '$$', f: \"l1 ${CLUSTER}\\nl2 ${COUNT}\\n\"}",
		"functions": "spec: {a: '${NOBODY:=d}', b: '${CLUSTER:-d}', c: '${CLUSTER^^}', d: '${CLUSTER/prod/test}', e: '${#CLUSTER}', f: '${CLUSTER:1:2}', g: '${NOBODY:-${CLUSTER}}', h: '${CLUSTER%od}'}",
		"keys":      "metadata: {name: '${CLUSTER}', labels: {'${CLUSTER}': x}}",
		"disabled":  "metadata: {name: a, labels: {kustomize.toolkit.fluxcd.io/substitute: disabled}}\nspec: {a: '${CLUSTER}'}",
		"none":      "spec: {a: 1, b: 2.5, c: [x, null, true]}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			object := "apiVersion: example.com/v1\nkind: Thing\n" + text + "\n"
			if name != "keys" && name != "disabled" {
				object += "metadata: {name: a}\n"
			}
			res, err := provider.NewDefaultDepProvider().GetResourceFactory().FromBytes([]byte(object))
			if err != nil {
				t.Fatal(err)
			}
			by := resultOf(t, kustomization)
			if _, err := fluxkustomize.SubstituteVariables(t.Context(), nil, *by.Objects[0].Object, res, fluxkustomize.SubstituteWithDryRun(true)); err != nil {
				t.Fatal(err)
			}
			text, err := res.AsYAML()
			if err != nil {
				t.Fatal(err)
			}
			want := &unstructured.Unstructured{}
			if err := yaml.Unmarshal(text, want); err != nil {
				t.Fatal(err)
			}
			got := resultOf(t, object)
			if err := got.Substitute(by.FluxKustomizations()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.Object, got.Objects[0].Object.Object); diff != "" {
				t.Errorf("object (-Flux +render):\n%s", diff)
			}
		})
	}
}

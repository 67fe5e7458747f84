package render

import "testing"

// A key that is there twice is refused where kustomize refuses it, and nowhere else.
func TestAKeyTwiceIsNoMistakeWhereKustomizeTakesIt(t *testing.T) {
	t.Parallel()
	root := writeTree(t, map[string]string{
		"kustomization.yaml": "namePrefix: x-\nnamePrefix: y-\nresources: [a.yaml]\npatches:\n- path: p.yaml\nconfigMapGenerator:\n- name: made\n  files: [data.yaml]\n",
		"a.yaml":             deploymentA,
		"p.yaml":             "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {paused: true, paused: true}\n",
		"data.yaml":          "a: b\na: c\n",
	})
	if _, err := Render(t.Context(), Options{Path: root, Root: root}); err != nil {
		t.Fatal(err)
	}
}

package render

import (
	"fmt"
	"strings"
	"testing"
)

// A line that copies a field into the next one twice doubles what is there.
func TestCopies(t *testing.T) {
	t.Parallel()
	const tooMuch = "all YAML that the build reads and copies has more than 2000000 nodes"
	var operations, replacements strings.Builder
	operations.WriteString("- {op: add, path: /data, value: {a0: {x: y}}}\n")
	for i := range 40 {
		fmt.Fprintf(&operations, "- {op: add, path: /data/a%d, value: {}}\n", i+1)
		for _, side := range []string{"l", "r"} {
			fmt.Fprintf(&operations, "- {op: copy, from: /data/a%d, path: /data/a%d/%s}\n", i, i+1, side)
			fmt.Fprintf(&replacements, "- source: {kind: ConfigMap, name: c, fieldPath: data.a%d}\n  targets: [{select: {kind: ConfigMap}, fieldPaths: [data.a%d.%s], options: {create: true}}]\n", i, i+1, side)
		}
	}
	joined := strings.Repeat("- source: {kind: ConfigMap, name: c, fieldPath: data.a0.x}\n  targets: [{select: {kind: ConfigMap}, fieldPaths: [data.a0.x], options: {delimiter: '|', index: -1}}]\n", 40)
	wide := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  from: [" + strings.Repeat("x,", 5000) + "]\n  to: [" + strings.Repeat("{},", 5000) + "]\n"
	for title, tc := range map[string]struct{ kustomization, manifest, file, want string }{
		"operations of a JSON patch": {
			kustomization: "patches:\n- {target: {kind: ConfigMap}, path: f.yaml}\n", file: operations.String(),
			want: "Unable to complete the copy, the accumulated size increase of copy is",
		},
		"replacements":               {kustomization: "replacements:\n" + replacements.String(), want: tooMuch},
		"replacements of a file":     {kustomization: "replacements:\n- {path: f.yaml}\n", file: replacements.String(), want: tooMuch},
		"replacements within a text": {kustomization: "replacements:\n" + joined, want: tooMuch},
		"a replacement in many places": {
			kustomization: "replacements:\n- source: {kind: ConfigMap, name: c, fieldPath: data.from}\n  targets: [{select: {kind: ConfigMap}, fieldPaths: [data.to.*.x], options: {create: true}}]\n", manifest: wide,
			want: "it puts 5001 nodes into as many as 100",
		},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"kustomization.yaml": "resources: [c.yaml]\n" + tc.kustomization, "f.yaml": tc.file, "c.yaml": tc.manifest}
			if tc.manifest == "" {
				files["c.yaml"] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a0: {x: yyyyyyyy}}\n"
			}
			root := writeTree(t, files)
			_, err := Render(t.Context(), Options{Path: root, Root: root})
			mistake(t, err, "kustomization.yaml:")
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %.500s, want … %s", err, tc.want)
			}
		})
	}
}

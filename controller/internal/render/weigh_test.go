package render

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// laughs are YAML fields, each below a prefix, of which the last is 10^9 nodes with
// its aliases written out.
func laughs(prefix string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%sa0: &a0 [%s]\n", prefix, strings.Repeat("x,", 10))
	for i := 1; i < 9; i++ {
		fmt.Fprintf(&b, "%sa%d: &a%d [%s]\n", prefix, i, i, strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10))
	}
	return b.String()
}

// What a YAML text may not be, as the fields of an object's data, and what is said
// of it in the end.
func bombs() map[string]struct{ data, want string } {
	return map[string]struct{ data, want string }{
		"laughs":       {laughs("  "), "its YAML has more than 2000000 nodes, each alias counted as what it stands for"},
		"itself":       {"  a: &a [*a]\n", "the alias *a is part of what it stands for"},
		"merged":       {"  a: &a\n    <<: *a\n", "the alias *a is part of what it stands for"},
		"deep lists":   {"  a: " + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + "\n", "its YAML nests more than 200 deep"},
		"deep maps":    {"  a: " + strings.Repeat("{a: ", 9000) + strings.Repeat("}", 9000) + "\n", "its YAML nests more than 200 deep"},
		"deeper still": {"  a: " + strings.Repeat("[", 200_000), "exceeded max depth of 10000"},
		"wide":         {"  a: [" + strings.Repeat("[],", 2_000_000) + "]\n", "its YAML may have more than 2000000 nodes"},
	}
}

// A text that would take more memory or time than there is stops no build, wherever
// it stands.
func TestBombs(t *testing.T) {
	t.Parallel()
	const one = "resources:\n- a.yaml\n"
	configMap := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n"
	deployment := "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\ndata:\n"
	indent := func(text string) string { return "    " + strings.ReplaceAll(text, "\n", "\n    ") + "\n" }
	positions := map[string]struct {
		at    string // where the error is
		files func(data string) map[string]string
	}{
		"a resource": {"b.yaml", func(data string) map[string]string {
			return map[string]string{"kustomization.yaml": one + "- b.yaml\n", "b.yaml": configMap + data}
		}},
		"a resource behind another document": {"b.yaml", func(data string) map[string]string {
			return map[string]string{"kustomization.yaml": one + "- b.yaml\n", "b.yaml": strings.ReplaceAll(configMap, "name: c", "name: d") + "  k: v\n---\n" + configMap + data}
		}},
		"a plain manifest": {"b.yaml", func(data string) map[string]string {
			return map[string]string{"b.yaml": configMap + data}
		}},
		"a FluxInstance": {"b.yaml", func(data string) map[string]string {
			return map[string]string{"b.yaml": validInstance + "  components:\n" + data}
		}},
		"a List": {"b.yaml", func(data string) map[string]string {
			return map[string]string{"b.yaml": "apiVersion: v1\nkind: List\nitems:\n" + data}
		}},
		"the kustomization": {"kustomization.yaml", func(data string) map[string]string {
			return map[string]string{"kustomization.yaml": one + "commonAnnotations:\n" + data}
		}},
		"the kustomization of a base": {"x/kustomization.yaml", func(data string) map[string]string {
			return map[string]string{"kustomization.yaml": "resources: [x]\n", "x/kustomization.yaml": "commonAnnotations:\n" + data}
		}},
		"a patch file": {"p.yaml", func(data string) map[string]string {
			return map[string]string{"kustomization.yaml": one + "patches: [{path: p.yaml}]\n", "p.yaml": deployment + data}
		}},
		"a patch": {"kustomization.yaml", func(data string) map[string]string {
			return map[string]string{"kustomization.yaml": one + "patches:\n- patch: |\n" + indent(deployment+data)}
		}},
		"a JSON patch file": {"p.yaml", func(data string) map[string]string {
			return map[string]string{"kustomization.yaml": one + "patchesJson6902: [{path: p.yaml, target: {kind: Deployment, version: v1, name: a}}]\n", "p.yaml": "- op: add\n  path: /x\n  value:\n  " + strings.ReplaceAll(data, "\n  ", "\n    ")}
		}},
		"a strategic merge patch file": {"p.yaml", func(data string) map[string]string {
			return map[string]string{"kustomization.yaml": one + "patchesStrategicMerge: [p.yaml]\n", "p.yaml": deployment + data}
		}},
		"a transformer's file": {"t.yaml", func(data string) map[string]string {
			return map[string]string{"kustomization.yaml": one + "transformers: [t.yaml]\n", "t.yaml": "apiVersion: builtin\nkind: AnnotationsTransformer\nmetadata: {name: t}\nannotations:\n" + data}
		}},
		"a transformer's patch": {"kustomization.yaml", func(data string) map[string]string {
			return map[string]string{"kustomization.yaml": one + "transformers:\n- |\n  apiVersion: builtin\n  kind: PatchTransformer\n  metadata: {name: t}\n  patch: |\n" + indent(deployment+data)}
		}},
		"a transformer's patch file": {"p.yaml", func(data string) map[string]string {
			return map[string]string{"kustomization.yaml": one + "transformers:\n- |\n  apiVersion: builtin\n  kind: PatchTransformer\n  metadata: {name: t}\n  path: p.yaml\n", "p.yaml": deployment + data}
		}},
		"a transformer's replacements": {"r.yaml", func(data string) map[string]string {
			return map[string]string{
				"kustomization.yaml": one + "transformers:\n- |\n  apiVersion: builtin\n  kind: ReplacementTransformer\n  metadata: {name: t}\n  replacements: [{path: r.yaml}]\n",
				"r.yaml":             "source:\n" + data,
			}
		}},
		"a generator": {"kustomization.yaml", func(data string) map[string]string {
			return map[string]string{"kustomization.yaml": one + "generators:\n- |\n" + indent("apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata:\n  name: t\nliterals:\n"+data)}
		}},
		"a validator's file": {"v.yaml", func(data string) map[string]string {
			return map[string]string{"kustomization.yaml": one + "validators: [v.yaml]\n", "v.yaml": "apiVersion: builtin\nkind: AnnotationsTransformer\nmetadata: {name: t}\nannotations:\n" + data}
		}},
		"replacements": {"r.yaml", func(data string) map[string]string {
			return map[string]string{"kustomization.yaml": one + "replacements: [{path: r.yaml}]\n", "r.yaml": "source:\n" + data}
		}},
		"a configuration": {"n.yaml", func(data string) map[string]string {
			return map[string]string{"kustomization.yaml": one + "configurations: [n.yaml]\n", "n.yaml": "namePrefix:\n" + data}
		}},
		"a schema": {"n.yaml", func(data string) map[string]string {
			return map[string]string{"kustomization.yaml": one + "openapi: {path: n.yaml}\n", "n.yaml": "definitions:\n" + data}
		}},
		"a list of fields": {"n.yaml", func(data string) map[string]string {
			return map[string]string{"kustomization.yaml": one + "crds: [n.yaml]\n", "n.yaml": "definitions:\n" + data}
		}},
	}
	for position, in := range positions {
		for name, bomb := range bombs() {
			t.Run(position+"/"+name, func(t *testing.T) {
				t.Parallel()
				files := in.files(bomb.data)
				files["a.yaml"] = deploymentA
				root := writeTree(t, files)
				_, err := Render(t.Context(), Options{Path: root, Root: root})
				mistake(t, err, in.at+":")
				if !strings.HasSuffix(err.Error(), bomb.want) {
					t.Errorf("error = %.300s, want … %s", err, bomb.want)
				}
			})
		}
	}
}

// Kustomize reads the first document between two separators only.
func TestWhatFollowsTheEndOfADocument(t *testing.T) {
	t.Parallel()
	root := writeTree(t, map[string]string{"b.yaml": "a: b\n...\n[\n---\na: &a [*a]\n"})
	_, err := Render(t.Context(), Options{Path: root, Root: root})
	mistake(t, err, "b.yaml:2: does not parse: yaml: line 2: ")
}

func TestDataThatIsNoYAML(t *testing.T) {
	t.Parallel()
	root := writeTree(t, map[string]string{
		"kustomization.yaml": "configMapGenerator:\n- name: c\n  files: [a.conf, b.bin]\n",
		"a.conf":             "{{ if }}\n\t[\n", "b.bin": "\x00\x01\xff",
	})
	if got, err := Render(t.Context(), Options{Path: root, Root: root}); err != nil || len(got.Objects) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestAllThatIsBuilt(t *testing.T) {
	t.Parallel()
	limits := DefaultLimits()
	limits.Nodes = 200
	files := map[string]string{"kustomization.yaml": "resources: [b0, b1, b2, b3]\n", "base/kustomization.yaml": "resources: [a.yaml]\n", "base/a.yaml": deploymentA}
	for i := range 4 {
		files[fmt.Sprintf("b%d/kustomization.yaml", i)] = fmt.Sprintf("resources:\n- ../base\nnamePrefix: p%d-\n", i)
	}
	root := writeTree(t, files)
	_, err := Render(t.Context(), Options{Path: root, Root: root, Limits: limits})
	mistake(t, err, "base/a.yaml:1: all YAML that the build reads and copies has more than 200 nodes, each alias counted as what it stands for, and a file as often as it is built")
}

// Each kustomization names the next one twice: 2^29 ways lead to the last.
func TestDiamonds(t *testing.T) {
	t.Parallel()
	const component = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
	for name, tc := range map[string]struct{ head, list string }{
		"of Components":     {component, "components"},
		"of Kustomizations": {"", "resources"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"k30/kustomization.yaml": tc.head + "namePrefix: a\n", "k0/kustomization.yaml": tc.list + ": [../k1]\n"}
			for i := 1; i < 30; i++ {
				files[fmt.Sprintf("k%d/kustomization.yaml", i)] = tc.head + fmt.Sprintf("%s: [../k%d, ../k%d]\n", tc.list, i+1, i+1)
			}
			root := writeTree(t, files)
			_, err := Render(t.Context(), Options{Path: filepath.Join(root, "k0"), Root: root})
			mistake(t, err, "k")
			if want := "/kustomization.yaml:"; !strings.Contains(err.Error(), want) {
				t.Errorf("error = %v, want … %s …", err, want)
			}
			if want := ": kustomizations name each other more than 5000 times in all"; !strings.Contains(err.Error(), want) {
				t.Errorf("error = %v, want … %s …", err, want)
			}
		})
	}
}

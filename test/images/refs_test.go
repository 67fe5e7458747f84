package images

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/cluster/tools"
	"github.com/mainstay-dev/mainstay/test/fluxgen"
)

// The names are those that the manifests ask for, and nothing is always pulled.
func TestRefsAreThoseOfTheManifests(t *testing.T) {
	t.Parallel()
	manifests, err := fluxgen.Manifests(t.Context(), fluxgen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, object := range builders.Objects(t, manifests) {
		if object.GetKind() == "Deployment" {
			want[object.GetName()] = ""
		}
	}
	for _, match := range regexp.MustCompile(`(?m)image: (\S+/([a-z-]+):\S+)$`).FindAllSubmatch(manifests, -1) {
		want[string(match[2])] = string(match[1])
	}
	root, err := tools.Root()
	if err != nil {
		t.Fatal(err)
	}
	b := &builder{root: root}
	got := map[string]string{}
	for name := range want {
		r, ok := find(name)
		if !ok {
			t.Errorf("no image of %s", name)
			continue
		}
		refs, err := b.refs(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		got[name] = refs[0]
		if len(refs) != 2 || !strings.HasPrefix(refs[1], DistributionRegistry+"/"+name+":v") {
			t.Errorf("%s: names %q, want a second one for flux-operator", name, refs)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) != 4 {
		t.Errorf("images of Flux (-manifests +made):\n%s", diff)
	}
	if strings.Contains(string(manifests), "imagePullPolicy: Always") {
		t.Error("the manifests always pull an image, and there is no registry")
	}
}

func TestDistributed(t *testing.T) {
	t.Parallel()
	deployment := func(image string) string {
		return "kind: Service\nspec: {}\n---\nkind: Deployment\nspec: {template: {spec: {containers: [{image: " + image + "}]}}}\n"
	}
	tests := map[string]struct {
		files map[string]string
		want  string
		fails string
	}{
		"the newest": {
			files: map[string]string{
				"v2.9.4/x.yaml": deployment("fluxcd/x:v1.9.4"), "v2.10.0/x.yaml": deployment("fluxcd/x:v1.10.0"),
				"latest/x.yaml": deployment("fluxcd/x:latest"),
			},
			want: "v1.10.0",
		},
		"no Deployment": {files: map[string]string{"v2.9.4/x.yaml": "kind: Service\n"}, fails: "no Deployment"},
		"no tag":        {files: map[string]string{"v2.9.4/x.yaml": deployment("fluxcd/x")}, fails: "fluxcd/x has no tag"},
		"not in it":     {files: map[string]string{"v2.9.4/y.yaml": deployment("y:v1")}, fails: "no such file"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := t.TempDir()
			for path, text := range tc.files {
				path = filepath.Join(source, "config", "data", "flux", path)
				if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
					t.Fatal(err)
				}
				write(t, path, text)
			}
			got, err := distributed(source, "x")
			if tc.fails == "" && (err != nil || got != tc.want) {
				t.Errorf("tag %q, %v, want %q", got, err, tc.want)
			}
			if tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails)) {
				t.Errorf("tag %q, error %v, want %q in it", got, err, tc.fails)
			}
		})
	}
}

func TestKustomizedTag(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kustomization.yaml")
	write(t, path, "images:\n- name: a/b\n  newTag: v1\n- name: a/c\n")
	if got, err := kustomizedTag(path, "a/b"); err != nil || got != "v1" {
		t.Errorf("tag %q, %v", got, err)
	}
	if got, err := kustomizedTag(path, "a/c"); err == nil || !strings.Contains(err.Error(), "gives it none") {
		t.Errorf("tag %q of an image without one, %v", got, err)
	}
}

package render

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"log"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func TestDistributionFromARegistry(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	reference := strings.TrimPrefix(server.URL, "http://") + "/flux:latest"
	push(t, reference, map[string]string{
		"flux/v2.9.3/rbac.yaml": "a: b\n", "flux/v2.9.3/source-controller.yaml": "c: d\n",
		"flux/v2.9.4/rbac.yaml": "e: f\n", "flux/v2.9.4/source-controller.yaml": "g: h\n",
		"flux-images/v2.9.4/upstream-alpine.yaml": "images:\n- {name: ghcr.io/fluxcd/source-controller, newTag: v1, digest: 'sha256:0'}\n",
	})
	d, err := openDistribution(t.Context(), "oci://"+reference)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	version, err := d.resolve("2.9.x")
	if err != nil || version != "v2.9.4" {
		t.Fatalf("version = %s, %v, want v2.9.4", version, err)
	}
	content, err := d.base(version, "source-controller")
	if err != nil || string(content) != "g: h\n" {
		t.Errorf("base = %q, %v", content, err)
	}
	images, err := d.images(version, "upstream-alpine")
	if err != nil || len(images) != 1 || images[0].Digest != "sha256:0" {
		t.Errorf("images = %v, %v, want one with its digest", images, err)
	}
	_, err = openDistribution(t.Context(), "oci://"+strings.TrimPrefix(server.URL, "http://")+"/none:latest")
	if err == nil || !strings.HasPrefix(err.Error(), "pull it: ") || !strings.Contains(err.Error(), "/none/manifests/latest") {
		t.Errorf("error = %v, want one that names what was pulled", err)
	}
}

// push makes an artifact of one layer.
func push(t *testing.T, reference string, files map[string]string) {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	archive := tar.NewWriter(zip)
	for file, content := range files {
		if err := archive.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
}

func TestFoldersWithoutAKustomization(t *testing.T) {
	t.Parallel()
	const named = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "
	root := writeTree(t, map[string]string{
		"one.yaml": named + "one}\n", "below/two.yml": named + "two}\n", "notes.md": "no manifest", ".github/three.yaml": "on: push\n",
		"own/kustomization.yaml": "namePrefix: own-\nresources: [four.yaml]\n", "own/four.yaml": named + "four}\n", "own/unused.yaml": named + "five}\n",
	})
	for title, tc := range map[string]struct {
		path string
		want []string
	}{
		"a folder":               {path: ".", want: []string{"one", "own-four", "two"}},
		"one manifest":           {path: "own/unused.yaml", want: []string{"five"}},
		"a kustomization's file": {path: "own/kustomization.yaml", want: []string{"own-four"}},
	} {
		t.Run(title, func(t *testing.T) {
			got, err := Render(t.Context(), Options{Path: filepath.Join(root, tc.path), Root: root})
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, object := range got.Objects {
				names = append(names, object.Object.GetName())
			}
			if diff := cmp.Diff(tc.want, names); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
		})
	}
}

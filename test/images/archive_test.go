package images

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// sample is an image of one program and one folder.
func sample(t *testing.T) content {
	t.Helper()
	dir := t.TempDir()
	for path, f := range map[string]struct {
		text string
		mode os.FileMode
	}{
		"program":       {"#!/bin/true\n", 0o700},
		"data/b/one":    {"1", 0o600},
		"data/a/twenty": {"20", 0o644},
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(f.text), f.mode); err != nil {
			t.Fatal(err)
		}
	}
	return content{
		refs:       []string{"registry.test/sample:v1", "registry.test/another/sample:v2", "third.test/sample:v3"},
		user:       "65534:65534",
		entrypoint: []string{"/usr/local/bin/program"},
		files: []file{
			{path: "/usr/local/bin/program", source: filepath.Join(dir, "program")},
			{path: "/data", source: filepath.Join(dir, "data")},
		},
	}
}

// read opens an image of an archive and lists its files.
func read(t *testing.T, archive, ref string) (v1.Config, []string) {
	t.Helper()
	tag, err := name.NewTag(ref, name.StrictValidation)
	if err != nil {
		t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(archive, &tag)
	if err != nil {
		t.Fatalf("%s: %v", ref, err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	extracted := mutate.Extract(image)
	defer func() { _ = extracted.Close() }()
	var files []string
	for r := tar.NewReader(extracted); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return config.Config, files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, strings.TrimSpace(fmt.Sprintf("%s %o %s", header.Name, header.Mode, text)))
	}
}

func TestArchive(t *testing.T) {
	t.Parallel()
	c := sample(t)
	path := filepath.Join(t.TempDir(), "sample.tar")
	if err := c.archive(path); err != nil {
		t.Fatal(err)
	}
	wantConfig := v1.Config{
		User:       "65534:65534",
		Entrypoint: []string{"/usr/local/bin/program"},
		Env:        []string{"PATH=/usr/local/bin:/usr/bin:/bin:/"},
		WorkingDir: "/",
	}
	wantFiles := []string{
		"tmp 1777",
		"etc 755",
		"etc/group 644 root:x:0:\nnonroot:x:65532:\nnogroup:x:65534:",
		"etc/passwd 644 root:x:0:0:root:/:/none\nnonroot:x:65532:65532:nonroot:/tmp:/none\nnobody:x:65534:65534:nobody:/tmp:/none",
		"usr 755",
		"usr/local 755",
		"usr/local/bin 755",
		"usr/local/bin/program 755 #!/bin/true",
		"data 755",
		"data/a 755",
		"data/a/twenty 644 20",
		"data/b 755",
		"data/b/one 644 1",
	}
	for _, ref := range c.refs {
		config, files := read(t, path, ref)
		if diff := cmp.Diff(wantConfig, config); diff != "" {
			t.Errorf("%s: config (-want +got):\n%s", ref, diff)
		}
		if diff := cmp.Diff(wantFiles, files); diff != "" {
			t.Errorf("%s: files (-want +got):\n%s", ref, diff)
		}
	}
}

func TestArchiveIsAlwaysTheSame(t *testing.T) {
	t.Parallel()
	c := sample(t)
	dir := t.TempDir()
	var first []byte
	// More often than the names can come out in the same order by chance.
	for range 20 {
		path := filepath.Join(dir, "sample.tar")
		if err := c.archive(path); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = text
		}
		if !bytes.Equal(first, text) {
			t.Fatal("the same content gave another archive")
		}
	}
}

func TestArchiveErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		spoil func(*content)
		want  string
	}{
		"no tag":     {func(c *content) { c.refs = []string{"registry.test/sample"} }, "registry.test/sample"},
		"no program": {func(c *content) { c.files[0].source += "-absent" }, "no such file or directory"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := sample(t)
			tc.spoil(&c)
			err := c.archive(filepath.Join(t.TempDir(), "sample.tar"))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q in it", err, tc.want)
			}
		})
	}
}

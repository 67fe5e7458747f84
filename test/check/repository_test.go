package check_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/mainstay-dev/mainstay/test/fluxgen"
)

// root of this repository, seen from this package.
const root = "../.."

// components is where flux bootstrap writes Flux's manifests.
const components = "clusters/production/flux-system/gotk-components.yaml"

// repository writes the good repository and what differs from it to a folder.
func repository(t *testing.T, manifests []byte, differing string) string {
	t.Helper()
	dir := t.TempDir()
	overlay(t, dir, "good")
	overlay(t, filepath.Join(dir, "patches"), filepath.Join(root, "patches"))
	write(t, filepath.Join(dir, components), manifests)
	if differing != "" {
		overlay(t, dir, differing)
	}
	return dir
}

// overlay copies a folder over another one.
func overlay(t *testing.T, to, from string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "want.yaml" {
			return err
		}
		inside, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		write(t, filepath.Join(to, inside), content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// generated is Flux's manifests with its default components.
var generated = sync.OnceValues(func() ([]byte, error) {
	return fluxgen.Manifests(context.Background(), fluxgen.Options{Root: root})
})

func flux(t *testing.T) []byte {
	t.Helper()
	manifests, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	return manifests
}

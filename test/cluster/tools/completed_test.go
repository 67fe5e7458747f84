package tools_test

import (
	"archive/zip"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/test/cluster/tools"
)

// A program whose module lacks a file that it embeds is built all the same, and the
// module cache stays as it is.
func TestAddsWhatAModuleLacks(t *testing.T) {
	const module = "github.com/controlplaneio-fluxcd/flux-operator"
	proxy, modules, root := t.TempDir(), t.TempDir(), t.TempDir()
	t.Setenv("GOPROXY", "file://"+proxy)
	t.Setenv("GOSUMDB", "off")
	t.Setenv("GOMODCACHE", modules)
	dir := filepath.Join(root, "tools", "flux-operator")
	run := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	put(t, filepath.Join(dir, "go.mod"), "module example.com/tools\ngo 1.26.0\n"+
		"tool "+module+"/cmd/operator\nrequire "+module+" v1.2.3\n")
	versions := filepath.Join(proxy, module, "@v")
	put(t, filepath.Join(versions, "v1.2.3.info"), `{"Version": "v1.2.3"}`)
	put(t, filepath.Join(versions, "v1.2.3.mod"), "module "+module+"\ngo 1.26.0\n")
	put(t, filepath.Join(versions, "v1.2.3.zip"), zipped(t, module+"@v1.2.3/", map[string]string{
		"go.mod":       "module " + module + "\ngo 1.26.0\n",
		"web/embed.go": "package web\nimport _ \"embed\"\n//go:embed dist/index.html\nvar Page string\n",
		"cmd/operator/main.go": "package main\nimport \"" + module + "/web\"\n" +
			"var VERSION string\nfunc main() { print(VERSION, \" \", web.Page) }\n",
	}))
	run("mod", "tidy")
	// It makes its folders writable, which what removes the test's folders does not.
	t.Cleanup(func() {
		cmd := exec.Command("go", "clean", "-modcache")
		cmd.Env = append(os.Environ(), "GOMODCACHE="+modules)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("cleaning the module cache: %v\n%s", err, out)
		}
	})

	paths, err := tools.New(root, t.TempDir(), nil).Build(t.Context(), tools.FluxOperator)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), paths[tools.FluxOperator]).CombinedOutput()
	if want := "v1.2.3 <!doctype html>"; err != nil || !strings.HasPrefix(string(out), want) {
		t.Errorf("the tool says %q, %v, want %q", out, err, want)
	}
	if _, err := os.Stat(filepath.Join(modules, module+"@v1.2.3", "web", "dist")); !os.IsNotExist(err) {
		t.Errorf("the module cache was written to: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(paths[tools.FluxOperator]), "build-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func zipped(t *testing.T, prefix string, files map[string]string) string {
	t.Helper()
	var data bytes.Buffer
	w := zip.NewWriter(&data)
	for name, text := range files {
		f, err := w.Create(prefix + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return data.String()
}

package tools_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mainstay-dev/mainstay/test/cluster/tools"
)

// project is one whose kustomize is a program that prints word.
func project(t *testing.T, word string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"tools/kustomize/go.mod": `module example.com/tools
go 1.26.0
require sigs.k8s.io/kustomize/kustomize/v5 v5.0.0
replace sigs.k8s.io/kustomize/kustomize/v5 => ./fake
`,
		"tools/kustomize/go.sum":      "",
		"tools/kustomize/fake/go.mod": "module sigs.k8s.io/kustomize/kustomize/v5\ngo 1.26.0\n",
		"tools/kustomize/fake/main.go": `package main
func main() { println("` + word + `") }
`,
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// lines is a writer for several goroutines.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func TestBuildsOnce(t *testing.T) {
	t.Parallel()
	root, cache := project(t, "hello"), t.TempDir()
	var said lines
	var callers sync.WaitGroup
	for range 3 {
		callers.Go(func() {
			paths, err := tools.New(root, cache, &said).Build(t.Context(), tools.Kustomize)
			if err != nil {
				t.Error(err)
				return
			}
			out, err := exec.CommandContext(t.Context(), paths[tools.Kustomize]).CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != "hello" {
				t.Errorf("the tool says %q, %v", out, err)
			}
		})
	}
	callers.Wait()
	if got := strings.Count(said.text.String(), "building kustomize v5.0.0 (1 of 1)"); got != 1 {
		t.Errorf("built %d times, want once:\n%s", got, said.text.String())
	}

	said.text.Reset()
	if _, err := tools.New(root, cache, &said).Build(t.Context(), tools.Kustomize); err != nil {
		t.Fatal(err)
	}
	if got := said.text.String(); got != "" {
		t.Errorf("said %q though nothing was to be done", got)
	}
}

func TestAnotherVersionIsAnotherTool(t *testing.T) {
	t.Parallel()
	root, cache := project(t, "hello"), t.TempDir()
	before, err := tools.New(root, cache, nil).Build(t.Context(), tools.Kustomize)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(filepath.Join(root, "tools/kustomize/go.mod"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("// another\n"); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	after, err := tools.New(root, cache, nil).Build(t.Context(), tools.Kustomize)
	if err != nil {
		t.Fatal(err)
	}
	if before[tools.Kustomize] == after[tools.Kustomize] {
		t.Errorf("both are %s", before[tools.Kustomize])
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	ended, end := context.WithCancel(t.Context())
	end()
	tests := map[string]struct {
		ctx  context.Context
		root string
		tool string
		want string
	}{
		"unknown tool":     {t.Context(), project(t, "hello"), "hammer", `no tool is named "hammer"`},
		"no such module":   {t.Context(), project(t, "hello"), tools.Ko, "reading the tool module ko"},
		"does not compile": {t.Context(), project(t, `" + nothing + "`), tools.Kustomize, "undefined: nothing"},
		"cancelled":        {ended, project(t, "hello"), tools.Kustomize, "context canceled"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cache := t.TempDir()
			_, err := tools.New(tc.root, cache, nil).Build(tc.ctx, tc.tool)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q in it", err, tc.want)
			}
			if left, _ := filepath.Glob(filepath.Join(cache, "*", "[^l]*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestCacheDir(t *testing.T) {
	t.Setenv(tools.EnvCache, "/somewhere/else")
	if got, err := tools.CacheDir(); err != nil || got != "/somewhere/else" {
		t.Errorf("CacheDir() = %q, %v", got, err)
	}
	t.Setenv(tools.EnvCache, "")
	t.Setenv("HOME", "/home/jane")
	t.Setenv("XDG_CACHE_HOME", "")
	if got, err := tools.CacheDir(); err != nil || !strings.HasPrefix(got, "/home/jane/") || filepath.Base(got) != "mainstay" {
		t.Errorf("CacheDir() = %q, %v", got, err)
	}
}

func TestRoot(t *testing.T) {
	root, err := tools.Root()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "test", "cluster", "tools", "build_test.go")); err != nil {
		t.Errorf("Root() = %s: %v", root, err)
	}
	t.Chdir(t.TempDir())
	if _, err := tools.Root(); err == nil || !strings.Contains(err.Error(), "no go.mod of github.com/mainstay-dev/mainstay") {
		t.Errorf("outside of the project: %v", err)
	}
}

// The simulated workers read their stages from there.
func TestKwokSource(t *testing.T) {
	t.Parallel()
	root, err := tools.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := tools.SourceDir(t.Context(), root, "kwok", "sigs.k8s.io/kwok")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "kustomize", "stage", "pod", "fast")); err != nil {
		t.Error(err)
	}
	if _, err := tools.SourceDir(t.Context(), root, "kwok", "example.com/absent"); err == nil {
		t.Error("a module that is not pinned has a source")
	}
}

package tools_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/test/cluster/tools"
)

// The kubelet and kube-proxy have a module of their own, and must not be of another
// release than the control plane.
func TestWorkersAreOfTheControlPlanesRelease(t *testing.T) {
	t.Parallel()
	root, err := tools.Root()
	if err != nil {
		t.Fatal(err)
	}
	want, err := tools.Version(t.Context(), root, tools.APIServer)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, name := range []string{tools.Kubelet, tools.KubeProxy} {
		if got[name], err = tools.Version(t.Context(), root, name); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[string]string{tools.Kubelet: want, tools.KubeProxy: want}, got); diff != "" {
		t.Errorf("versions (-control plane +workers):\n%s", diff)
	}
}

func TestVersionErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ tool, want string }{
		"unknown tool":   {"hammer", `no tool is named "hammer"`},
		"no such module": {tools.Ko, "reading the tool module ko"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tools.Version(t.Context(), project(t, "hello"), tc.tool)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q in it", err, tc.want)
			}
		})
	}
}

func TestBuildProgram(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	put(t, filepath.Join(root, "go.mod"), "module example.com/project\ngo 1.26.0\n")
	put(t, filepath.Join(root, "cmd", "good", "main.go"), "package main\nvar version string\nfunc main() { print(version) }\n")
	put(t, filepath.Join(root, "cmd", "bad", "main.go"), "package main\nfunc main() { print(nothing) }\n")

	path := filepath.Join(t.TempDir(), "good")
	if err := tools.BuildProgram(t.Context(), root, "./cmd/good", "-X main.version=v3", path); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), path).CombinedOutput(); err != nil || string(out) != "v3" {
		t.Errorf("the program says %q, %v", out, err)
	}
	err := tools.BuildProgram(t.Context(), root, "./cmd/bad", "", filepath.Join(t.TempDir(), "bad"))
	if err == nil || !strings.Contains(err.Error(), "building ./cmd/bad") || !strings.Contains(err.Error(), "undefined: nothing") {
		t.Errorf("a program that does not compile: %v", err)
	}
}

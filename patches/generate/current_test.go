package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGeneratedSetsAreCurrent(t *testing.T) {
	t.Parallel()
	for _, name := range sets() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files, err := instanceFiles("..", name)
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join("..", name+suffix)
			want := map[string]string{}
			for file, content := range files {
				want[file] = string(content)
			}
			got := map[string]string{}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range entries {
				content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
				if err != nil {
					t.Fatal(err)
				}
				got[entry.Name()] = string(content)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("run go run ./patches/generate (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSetsThatCannotBeGenerated(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
	for name, tc := range map[string]struct {
		files   map[string]string
		wantErr string
	}{
		"no such set": {
			wantErr: "reading the set",
		},
		"a field that kustomize lacks": {
			files: map[string]string{"kustomization.yaml": head + "patch: []\n"}, wantErr: "reading kustomization.yaml",
		},
		"a patch without a target": {
			files: map[string]string{"kustomization.yaml": head + "patches:\n- path: x.yaml\n"}, wantErr: "patch 0 needs a path and a target",
		},
		"a patch that is not there": {
			files:   map[string]string{"kustomization.yaml": head + "patches:\n- path: x.yaml\n  target: {kind: Deployment}\n"},
			wantErr: "reading a patch",
		},
		"a replacement of something else": {
			files: map[string]string{
				"kustomization.yaml": head + "replacements:\n- path: tolerations.yaml\n",
				"tolerations.yaml":   "- source: {kind: Values, fieldPath: toleration.effect}\n  targets:\n  - select: {kind: Deployment}\n    fieldPaths: [spec.replicas]\n",
				"values.yaml":        "apiVersion: v1\nkind: Values\nmetadata: {name: x}\n",
			},
			wantErr: "tolerations.yaml replaces spec.replicas, which is no toleration",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for file, content := range tc.files {
				path := filepath.Join(dir, "set", file)
				if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := instanceFiles(dir, "set")
			if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("error = %v, want … %s …", err, tc.wantErr)
			}
		})
	}
}

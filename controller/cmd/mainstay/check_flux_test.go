package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
)

// fluxTree has a cluster with Kustomizations, and folders that they build.
func fluxTree(t *testing.T, postBuild string) string {
	t.Helper()
	root := t.TempDir()
	kustomization := func(name, path, more string) string {
		return "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: " + name + ", namespace: flux-system}\nspec:\n  path: " + path + "\n" + more + "---\n"
	}
	for name, content := range map[string]string{
		"clusters/prod/flux.yaml": kustomization("apps", "./apps", postBuild) +
			kustomization("infra", "infra/", "") + kustomization("podinfo", "./of/another/source", ""),
		"infra/c.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n",
		"apps/d.yaml":  "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: web}\nspec: {replicas: '${REPLICAS}'}\n",
	} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// said are the messages of a check's findings and notes.
func said(t *testing.T, args ...string) (findings, notes []string) {
	t.Helper()
	var out bytes.Buffer
	cmd := newCommand()
	cmd.SetArgs(append([]string{"check", "--rules=none", "--fail-on=never", "-o=json"}, args...))
	cmd.SetOut(&out)
	cmd.SetErr(&bytes.Buffer{})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	var report check.Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		findings = append(findings, string(f.State)+f.Message)
	}
	for _, n := range report.Notes {
		notes = append(notes, n.Message)
	}
	return findings, notes
}

func TestWhatFluxKustomizationsBuild(t *testing.T) {
	t.Parallel()
	const infra = "path ./infra of Kustomization flux-system/infra is not checked here: add it to the command line"
	const unknown = "apps/v1/Deployment web/web: Flux substitutes REPLICAS, with a value that is not in what is checked here, so it is not known whether the API server takes it"
	for name, tc := range map[string]struct {
		postBuild              string
		paths                  []string
		wantFindings, wantNote []string
	}{
		"a value in Git":        {"  postBuild: {substitute: {REPLICAS: '2'}}\n", []string{"clusters/prod", "apps"}, nil, []string{infra}},
		"a value that is wrong": {"  postBuild: {substitute: {REPLICAS: two}}\n", []string{"apps", "clusters/prod"}, []string{"the API server would reject this Deployment: cannot unmarshal string into field spec.replicas"}, []string{infra}},
		"a value of a Secret":   {"  postBuild: {substituteFrom: [{kind: Secret, name: s}]}\n", []string{"clusters/prod", "apps", "infra"}, nil, []string{unknown}},
		"no value at all":       {"", []string{"clusters/prod", "apps", "infra"}, []string{"the API server would reject this Deployment: cannot unmarshal string into field spec.replicas"}, nil},
		"the cluster alone": {"", []string{"clusters/prod"}, nil, []string{
			"path ./apps of Kustomization flux-system/apps is not checked here: add it to the command line", infra,
		}},
		"the folder alone": {"", []string{"apps"}, nil, []string{unknown}},
		"patches of Flux": {"  postBuild: {substitute: {REPLICAS: '2'}}\n  patches: [{target: {kind: Deployment}, patch: '[]'}]\n", []string{"clusters/prod", "apps", "infra"}, nil, []string{
			"spec.patches of Kustomization flux-system/apps are not applied to ./apps here, and are by Flux",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := fluxTree(t, tc.postBuild)
			args := []string{"--root=" + root}
			for _, path := range tc.paths {
				args = append(args, filepath.Join(root, path))
			}
			findings, notes := said(t, args...)
			if diff := cmp.Diff([][]string{tc.wantFindings, tc.wantNote}, [][]string{findings, notes}); diff != "" {
				t.Errorf("findings and notes (-want +got):\n%s", diff)
			}
		})
	}
}

// The variables of each revision are those of its own Kustomizations.
func TestVariablesAgainstARevision(t *testing.T) {
	t.Parallel()
	root := fluxTree(t, "  postBuild: {substitute: {REPLICAS: '2'}}\n")
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"commit", "-qm", "one"}} {
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", root, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, text)
		}
	}
	paths := []string{filepath.Join(root, "clusters/prod"), filepath.Join(root, "apps"), filepath.Join(root, "infra"), "--against=HEAD"}
	if findings, notes := said(t, paths...); len(findings)+len(notes) > 0 {
		t.Errorf("findings %q, notes %q; want none", findings, notes)
	}
	flux := filepath.Join(root, "clusters/prod/flux.yaml")
	content, err := os.ReadFile(flux)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(flux, bytes.Replace(content, []byte("'2'"), []byte("two"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	want := []string{"newthe API server would reject this Deployment: cannot unmarshal string into field spec.replicas"}
	if findings, notes := said(t, paths...); len(notes) > 0 || !cmp.Equal(want, findings) {
		t.Errorf("findings %q, notes %q; want %q and none", findings, notes, want)
	}
}

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestDigest(t *testing.T) {
	root := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	digests := func() map[string]string {
		t.Helper()
		out := map[string]string{}
		program, err := measuring(root)
		if err != nil {
			t.Fatal(err)
		}
		for _, variant := range variants() {
			d, err := digest(root, variant, program)
			if err != nil {
				t.Fatal(err)
			}
			out[variant] = d
		}
		return out
	}
	for _, tool := range []string{"flux", "kubernetes", "kubernetes-node", "etcd", "coredns", "source-controller", "kustomize-controller", "helm-controller", "notification-controller"} {
		write("tools/"+tool+"/go.mod", "module "+tool)
	}
	write("go.mod", "module x")
	write("flux/source.yaml", "url: x")
	write("patches/flux-ha/lease.yaml", "15s")
	write("manifests/base/deployment.yaml", "replicas: 2")
	write("controller/main.go", "package main")
	for _, dir := range []string{"cluster", "drill", "e2e/gitops", "faults", "fluxgen", "fluxrun", "gitserver", "images", "stall"} {
		write("test/"+dir+"/x.go", "package x")
	}
	tests := map[string]struct {
		file string
		want []string // variants whose digest changes
	}{
		"the version of Flux": {"tools/flux/go.mod", variants()},
		"what is run of Flux": {"tools/notification-controller/go.mod", variants()},
		"a library":           {"go.mod", variants()},
		"a patch":             {"patches/flux-ha/lease.yaml", []string{variantPatches, variantMainstay}},
		"a new patch":         {"patches/flux-ha/new.yaml", []string{variantPatches, variantMainstay}},
		"a manifest":          {"manifests/base/deployment.yaml", []string{variantMainstay}},
		"the program":         {"controller/main.go", []string{variantMainstay}},
		"a fault":             {"test/faults/all.go", variants()},
		"the cluster":         {"test/cluster/internal/host/network.go", variants()},
		"the meter":           {"test/stall/measure.go", variants()},
		"Flux's manifests":    {"test/fluxgen/base.go", variants()},
		"a test of a fault":   {"test/faults/all_test.go", nil},
		"a test":              {"controller/main_test.go", nil},
		"a page":              {"flux/README.md", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := digests()
			write(test.file, "changed by "+name)
			after := digests()
			changed := map[string]bool{}
			for _, variant := range test.want {
				changed[variant] = true
			}
			for _, variant := range variants() {
				if got := before[variant] != after[variant]; got != changed[variant] {
					t.Errorf("digest of %s changed: %t, want %t", variant, got, changed[variant])
				}
			}
		})
	}
	if _, err := digest(root, "other", ""); err == nil {
		t.Error("no error for an unknown variant")
	}
	if err := os.Remove(filepath.Join(root, "tools/etcd/go.mod")); err != nil {
		t.Fatal(err)
	}
	if _, err := digest(root, variantStock, ""); err == nil {
		t.Error("no error for a file that is missing")
	}
}

// TestMeasuresIsWhatThisProgramIsMadeOf keeps the list complete: a package that is
// missing there leaves records standing that something else has measured.
func TestMeasuresIsWhatThisProgramIsMadeOf(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{if .Main}}{{$.ImportPath}}{{end}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	if len(packages) < 10 {
		t.Fatalf("go list names %d packages of this module: %s", len(packages), out)
	}
	for _, path := range packages {
		dir := strings.TrimPrefix(path, "github.com/mainstay-dev/mainstay/")
		// Interventions are read with it; which ones there are, manifests decide.
		if dir == "controller/api/v1alpha1" {
			continue
		}
		if !slices.ContainsFunc(measures(), func(of string) bool { return dir == of || strings.HasPrefix(dir, of+"/") }) {
			t.Errorf("%s is part of the program and not of its digest", dir)
		}
	}
}

package tools

import "strings"

// Tool is a program of one of the modules below tools/.
type Tool struct {
	// Name is the program's file name.
	Name string
	// Module is the folder below tools/ that pins it.
	Module string
	// Package is the import path of its main package.
	Package string
}

// Names of the programs.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Kubectl           = "kubectl"
	Kwok              = "kwok"
	ControllerGen     = "controller-gen"
	Kustomize         = "kustomize"
	GolangCILint      = "golangci-lint"
	Ko                = "ko"
)

// ControlPlane lists the programs of a simulated cluster, the slowest to build
// first, so that a cold build shows its worst at once.
func ControlPlane() []string {
	return []string{APIServer, ControllerManager, Scheduler, Kubectl, Kwok, Etcd}
}

func catalogue() []Tool {
	return []Tool{
		{APIServer, "kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver"},
		{ControllerManager, "kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager"},
		{Scheduler, "kubernetes", "k8s.io/kubernetes/cmd/kube-scheduler"},
		{Kubectl, "kubernetes", "k8s.io/kubernetes/cmd/kubectl"},
		{Etcd, "etcd", "go.etcd.io/etcd/server/v3"},
		{Kwok, "kwok", "sigs.k8s.io/kwok/cmd/kwok"},
		{ControllerGen, "controller-gen", "sigs.k8s.io/controller-tools/cmd/controller-gen"},
		{Kustomize, "kustomize", "sigs.k8s.io/kustomize/kustomize/v5"},
		{GolangCILint, "golangci-lint", "github.com/golangci/golangci-lint/v2/cmd/golangci-lint"},
		{Ko, "ko", "github.com/google/ko"},
	}
}

// find returns the tool of that name.
func find(name string) (Tool, bool) {
	for _, t := range catalogue() {
		if t.Name == name {
			return t, true
		}
	}
	return Tool{}, false
}

// ldflags are the linker's flags for t at version. Kubernetes reads its version
// from variables that its own build sets; without them it serves v0.0.0-master and
// clients refuse it or warn.
func (t Tool) ldflags(version string) string {
	flags := []string{"-s", "-w"}
	if t.Module == "kubernetes" {
		major, rest, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
		minor, _, _ := strings.Cut(rest, ".")
		for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
			flags = append(flags,
				"-X", pkg+".gitVersion="+version,
				"-X", pkg+".gitMajor="+major,
				"-X", pkg+".gitMinor="+minor)
		}
	}
	return strings.Join(flags, " ")
}

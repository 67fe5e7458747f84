package tools

import (
	"os"
	"strings"
)

// EnvKubernetes names the variable that has another minor version of the control
// plane, as in 1.34: one that a module kubernetes-<version> pins.
const EnvKubernetes = "MAINSTAY_KUBERNETES"

// Tool is a program of one of the modules below tools/.
type Tool struct {
	// Name is the program's file name.
	Name string
	// Module is the folder below tools/ that pins it.
	Module string
	// Package is the import path of its main package.
	Package string
}

// Names of the programs. Those of the second group are run as pods.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Kubectl           = "kubectl"
	Kubelet           = "kubelet"
	KubeProxy         = "kube-proxy"
	Kwok              = "kwok"
	ControllerGen     = "controller-gen"
	Kustomize         = "kustomize"
	GolangCILint      = "golangci-lint"
	Ko                = "ko"

	CoreDNS                = "coredns"
	SourceController       = "source-controller"
	KustomizeController    = "kustomize-controller"
	HelmController         = "helm-controller"
	NotificationController = "notification-controller"
	FluxOperator           = "flux-operator"
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
		{Kubelet, "kubernetes-node", "k8s.io/kubernetes/cmd/kubelet"},
		{KubeProxy, "kubernetes-node", "k8s.io/kubernetes/cmd/kube-proxy"},
		{Etcd, "etcd", "go.etcd.io/etcd/server/v3"},
		{Kwok, "kwok", "sigs.k8s.io/kwok/cmd/kwok"},
		{ControllerGen, "controller-gen", "sigs.k8s.io/controller-tools/cmd/controller-gen"},
		{Kustomize, "kustomize", "sigs.k8s.io/kustomize/kustomize/v5"},
		{GolangCILint, "golangci-lint", "github.com/golangci/golangci-lint/v2/cmd/golangci-lint"},
		{Ko, "ko", "github.com/google/ko"},
		{CoreDNS, "coredns", "github.com/coredns/coredns"},
		{SourceController, "source-controller", "github.com/fluxcd/source-controller"},
		{KustomizeController, "kustomize-controller", "github.com/fluxcd/kustomize-controller"},
		{HelmController, "helm-controller", "github.com/fluxcd/helm-controller"},
		{NotificationController, "notification-controller", "github.com/fluxcd/notification-controller"},
		{FluxOperator, "flux-operator", "github.com/controlplaneio-fluxcd/flux-operator/cmd/operator"},
	}
}

// find returns the tool of that name.
func find(name string) (Tool, bool) {
	for _, t := range catalogue() {
		if t.Name != name {
			continue
		}
		if version := os.Getenv(EnvKubernetes); version != "" && t.Module == "kubernetes" {
			t.Module += "-" + version
		}
		return t, true
	}
	return Tool{}, false
}

// added are files that t's package needs and its module does not have, by their
// path in the module.
func (t Tool) added() map[string]string {
	if t.Module != "flux-operator" {
		return nil
	}
	// The operator embeds the built files of its web page, which are not in Git.
	return map[string]string{"web/dist/index.html": "<!doctype html>\n<title>Flux Operator</title>\n"}
}

// ldflags are the linker's flags for t at version. Kubernetes reads its version
// from variables that its own build sets; without them it serves v0.0.0-master and
// clients refuse it or warn.
func (t Tool) ldflags(version string) string {
	flags := []string{"-s", "-w"}
	switch {
	case strings.HasPrefix(t.Module, "kubernetes"):
		major, rest, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
		minor, _, _ := strings.Cut(rest, ".")
		for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
			flags = append(flags,
				"-X", pkg+".gitVersion="+version,
				"-X", pkg+".gitMajor="+major,
				"-X", pkg+".gitMinor="+minor)
		}
	case t.Module == "flux-operator":
		flags = append(flags, "-X", "main.VERSION="+version)
	}
	return strings.Join(flags, " ")
}

package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// size is a vertical scaling profile.
type size struct {
	// resources of the controllers that the expression names: of all where it
	// is empty.
	target   string
	memory   string
	limits   [2]string // CPU, memory
	parallel string
	requeue  string
	cache    string
	source   []string // more arguments of source-controller
}

func sizes() map[string]size {
	return map[string]size{
		"small": {
			memory: "64Mi", limits: [2]string{"1000m", "512Mi"}, parallel: "5", requeue: "10s", cache: "10",
		},
		"medium": {
			target: "(kustomize-controller|helm-controller|source-controller)",
			memory: "128Mi", limits: [2]string{"2000m", "1Gi"}, parallel: "10", requeue: "5s", cache: "50",
			source: []string{"--concurrent=5"},
		},
		"large": {
			target: "(kustomize-controller|helm-controller)",
			memory: "256Mi", limits: [2]string{"3000m", "3Gi"}, parallel: "20", requeue: "5s", cache: "100",
			source: []string{"--concurrent=10"},
		},
	}
}

// sizePatches scale the controllers up to the cluster's size.
func (o operator) sizePatches(l *patchList) {
	name := o.spec.Cluster.Size
	s, ok := sizes()[name]
	if !ok {
		return
	}
	l.patches = append(l.patches, types.Patch{Target: new(ofKind("Deployment", "")), Patch: `apiVersion: apps/v1
kind: Deployment
metadata:
  name: all
  annotations:
    fluxcd.controlplane.io/profile: "` + name + `"
spec:
  template:
    metadata:
      labels:
        app.kubernetes.io/part-of: flux
      annotations:
        cluster-autoscaler.kubernetes.io/safe-to-evict: "true"
`})
	resources := func(memory string, limits [2]string) op {
		return op{"replace", "/spec/template/spec/containers/0/resources", map[string]any{
			"requests": map[string]string{"cpu": "100m", "memory": memory},
			"limits":   map[string]string{"cpu": limits[0], "memory": limits[1]},
		}}
	}
	appliers := ofKind("Deployment", "(kustomize-controller|helm-controller)")
	args := appendArg("--concurrent="+s.parallel, "--requeue-dependency="+s.requeue)
	source := appendArg("--helm-cache-max-size="+s.cache, "--helm-cache-ttl=720m", "--helm-cache-purge-interval=60m")
	source = append(source, appendArg(s.source...)...)
	if name == "large" {
		// source-controller has less than the controllers that apply.
		l.add(appliers, append(args, resources(s.memory, s.limits))...)
		source = append(source, resources(s.memory, [2]string{"2000m", "2Gi"}))
	} else {
		l.add(ofKind("Deployment", s.target), resources(s.memory, s.limits))
		l.add(appliers, args...)
	}
	l.add(ofKind("Deployment", "(source-controller)"), source...)
}

// tenantPatches lock tenants in.
func (o operator) tenantPatches(l *patchList) {
	if !o.spec.Cluster.Multitenant {
		return
	}
	l.add(
		ofKind("Deployment", "(kustomize-controller|helm-controller|notification-controller|image-reflector-controller|image-automation-controller|source-watcher)"),
		appendArg("--no-cross-namespace-refs=true")...,
	)
	l.add(ofKind("Deployment", "(kustomize-controller)"), appendArg("--no-remote-bases=true")...)
	l.add(ofKind("Deployment", "(kustomize-controller|helm-controller)"), appendArg("--default-service-account="+o.spec.Cluster.TenantDefaultServiceAccount)...)
	l.add(ofKind("Kustomization", ""), op{"add", "/spec/serviceAccountName", "kustomize-controller"})
}

// identityPatches let the controllers use the accounts that Flux's objects name, or
// take from them the right to, which the base has from Flux 2.6 on.
func (o operator) identityPatches(l *patchList, rbac []byte) {
	if !o.atLeast("2.6") {
		return
	}
	c := o.spec.Cluster
	if c.ObjectLevelWorkloadIdentity || o.atLeast("2.7") {
		controllers := []string{"source-controller", "kustomize-controller", "notification-controller", "image-reflector-controller", "image-automation-controller"}
		if o.atLeast("2.7") {
			controllers = append(controllers, "helm-controller")
		}
		l.add(
			ofKind("Deployment", "("+strings.Join(controllers, "|")+")"),
			appendArg(fmt.Sprintf("--feature-gates=ObjectLevelWorkloadIdentity=%t", c.ObjectLevelWorkloadIdentity))...,
		)
	}
	if rule := tokenRule(rbac); rule >= 0 && !c.ObjectLevelWorkloadIdentity {
		l.add(ofKind("ClusterRole", "crd-controller-"+o.namespace), op{Op: "remove", Path: fmt.Sprintf("/rules/%d", rule)})
	}
	if !c.MultitenantWorkloadIdentity || !o.atLeast("2.7") {
		return
	}
	l.add(
		ofKind("Deployment", "(source-controller|notification-controller|image-reflector-controller|image-automation-controller)"),
		appendArg("--default-service-account="+c.TenantDefaultServiceAccount)...,
	)
	l.add(ofKind("Deployment", "(kustomize-controller)"), appendArg("--default-decryption-service-account="+cmp.Or(c.TenantDefaultDecryptionServiceAccount, "default"))...)
	l.add(ofKind("Deployment", "(kustomize-controller|helm-controller)"), appendArg("--default-kubeconfig-service-account="+cmp.Or(c.TenantDefaultKubeConfigServiceAccount, "default"))...)
}

// tokenRule is the index of the rule that lets the controllers make tokens of
// accounts, -1 where there is none.
func tokenRule(rbac []byte) int {
	for _, doc := range documents(rbac) {
		rules := atExactly(doc.node, "rules")
		if scalar(doc.node, "kind") != "ClusterRole" || scalar(child(doc.node, "metadata"), "name") != "crd-controller" || rules == nil {
			continue
		}
		for i, rule := range rules.Content {
			resources := child(rule, "resources")
			if resources != nil && slices.ContainsFunc(resources.Content, func(n *yaml.Node) bool { return n.Value == "serviceaccounts/token" }) {
				return i
			}
		}
	}
	return -1
}

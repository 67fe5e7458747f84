package render

import (
	"fmt"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/yaml"
)

// containerArgs is where Flux's controllers have their arguments.
const containerArgs = "/spec/template/spec/containers/0/args/"

// op is one JSON 6902 operation.
type op struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// operations writes a patch for objects of a kind, and of a name where one is
// given.
func operations(target types.Selector, ops ...op) (types.Patch, error) {
	text, err := yaml.Marshal(ops)
	if err != nil {
		return types.Patch{}, fmt.Errorf("write the patch of %s: %w", selector(&target), err)
	}
	return types.Patch{Target: &target, Patch: string(text)}, nil
}

// ofKind selects a kind, with a name as a regular expression.
func ofKind(kind, name string) types.Selector {
	return types.Selector{ResId: resid.ResId{Gvk: resid.Gvk{Kind: kind}, Name: name}}
}

func deployment(name string) types.Selector {
	return types.Selector{ResId: resid.ResId{Gvk: resid.Gvk{Group: "apps", Version: "v1", Kind: "Deployment"}, Name: name}}
}

func appendArg(values ...string) []op {
	var out []op
	for _, value := range values {
		out = append(out, op{"add", containerArgs + "-", value})
	}
	return out
}

// patchList gathers patches and the first error.
type patchList struct {
	patches []types.Patch
	err     error
}

func (l *patchList) add(target types.Selector, ops ...op) {
	p, err := operations(target, ops...)
	if err != nil && l.err == nil {
		l.err = err
	}
	l.patches = append(l.patches, p)
}

// patches are those of the installation, followed by the instance's own.
func (o operator) patches(files map[string][]byte) ([]types.Patch, error) {
	l := &patchList{}
	l.patches = append(l.patches, types.Patch{Path: "node-selector.yaml", Target: new(ofKind("Deployment", ""))})
	o.basePatches(l)
	if o.spec.Sharding != nil {
		target := ofKind("Deployment", "("+strings.Join(o.sharded(), "|")+")")
		target.AnnotationSelector = "!sharding.fluxcd.io/role"
		l.add(target, appendArg("--watch-label-selector=!"+o.spec.Sharding.Key)...)
	}
	o.sizePatches(l)
	if o.spec.Cluster.Type == "openshift" {
		l.add(
			ofKind("Deployment", ""),
			op{Op: "remove", Path: "/spec/template/spec/securityContext"},
			op{Op: "remove", Path: "/spec/template/spec/containers/0/securityContext/seccompProfile"},
			op{Op: "remove", Path: "/spec/template/spec/containers/0/securityContext/runAsNonRoot"},
		)
		l.add(
			ofKind("Namespace", ""),
			op{Op: "remove", Path: "/metadata/labels/pod-security.kubernetes.io~1warn"},
			op{Op: "remove", Path: "/metadata/labels/pod-security.kubernetes.io~1warn-version"},
		)
	}
	o.tenantPatches(l)
	if o.has("source-watcher") {
		l.add(ofKind("Deployment", "(kustomize-controller|helm-controller)"), appendArg("--feature-gates=ExternalArtifact=true")...)
	}
	if o.has("notification-controller") {
		o.notificationPatches(l, files["notification-controller.yaml"])
	}
	o.identityPatches(l, files["roles/rbac.yaml"])
	return append(l.patches, o.spec.Kustomize.Patches...), l.err
}

// basePatches set each component's own arguments.
func (o operator) basePatches(l *patchList) {
	events := ""
	if o.has("notification-controller") {
		events = fmt.Sprintf("http://notification-controller.%s.svc.%s./", o.namespace, o.spec.Cluster.Domain)
	}
	for _, component := range o.spec.Components {
		var args []string
		if component != "notification-controller" {
			args = append(args, "--events-addr="+events)
		}
		args = append(args, "--watch-all-namespaces=true", "--log-level=info")
		var ops []op
		for i, arg := range args {
			ops = append(ops, op{"replace", containerArgs + fmt.Sprint(i), arg})
		}
		if component == "source-controller" || component == "source-watcher" {
			ops = append(ops, op{"replace", containerArgs + "6", o.advertised(component)})
		}
		l.add(deployment(component), ops...)
		if component == "source-controller" && o.spec.Storage != nil {
			target := deployment(component)
			target.AnnotationSelector = "!sharding.fluxcd.io/role"
			l.add(
				target,
				op{"add", "/spec/template/spec/volumes/-", volume("persistent-data", "source-controller")},
				op{"replace", "/spec/template/spec/containers/0/volumeMounts/0", mount("persistent-data")},
			)
		}
	}
}

func (o operator) advertised(service string) string {
	return fmt.Sprintf("--storage-adv-addr=%s.$(RUNTIME_NAMESPACE).svc.%s.", service, o.spec.Cluster.Domain)
}

func volume(name, claim string) map[string]any {
	return map[string]any{"name": name, "persistentVolumeClaim": map[string]any{"claimName": claim}}
}

func mount(name string) map[string]any { return map[string]any{"name": name, "mountPath": "/data"} }

// notificationPatches let alerts and receivers name flux-operator's kinds.
func (o operator) notificationPatches(l *patchList, content []byte) {
	for _, crd := range []struct{ name, field string }{
		{"alerts.notification.toolkit.fluxcd.io", "eventSources"},
		{"receivers.notification.toolkit.fluxcd.io", "resources"},
	} {
		var ops []op
		for _, kind := range []string{"FluxInstance", "ResourceSet", "ResourceSetInputProvider"} {
			for _, version := range versionsWith(content, crd.name, crd.field) {
				ops = append(ops, op{
					"add", fmt.Sprintf("/spec/versions/%d/schema/openAPIV3Schema/properties/spec/properties/%s/items/properties/kind/enum/-", version, crd.field), kind,
				})
			}
		}
		if len(ops) > 0 {
			l.add(ofKind("CustomResourceDefinition", crd.name), ops...)
		}
	}
	l.add(ofKind("ClusterRole", "crd-controller-"+o.namespace), op{"add", "/rules/-", map[string]any{
		"apiGroups": []string{instanceGroup}, "resources": []string{"*"}, "verbs": []string{"*"},
	}})
}

// versionsWith are the indexes of a CRD's versions that list the kinds that a
// field may name.
func versionsWith(content []byte, name, field string) []int {
	for _, doc := range documents(content) {
		if scalar(doc.node, "kind") != "CustomResourceDefinition" || scalar(child(doc.node, "metadata"), "name") != name {
			continue
		}
		versions := atExactly(doc.node, "spec", "versions")
		if versions == nil {
			return nil
		}
		var out []int
		for i, version := range versions.Content {
			if atExactly(version, "schema", "openAPIV3Schema", "properties", "spec", "properties", field, "items", "properties", "kind", "enum") != nil {
				out = append(out, i)
			}
		}
		return out
	}
	return nil
}

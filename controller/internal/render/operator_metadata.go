package render

import "maps"

// namespaceObject is Flux's namespace.
func namespaceObject(name string) map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Namespace",
		"metadata": map[string]any{
			"name": name,
			"labels": map[string]any{
				"pod-security.kubernetes.io/warn":         "restricted",
				"pod-security.kubernetes.io/warn-version": "latest",
			},
			"annotations": map[string]any{instanceGroup + "/prune": "disabled"},
		},
	}
}

// annotations keep kustomize-controller from the objects.
func (o operator) annotations() map[string]any {
	set := map[string]string{
		"kustomize.toolkit.fluxcd.io/prune": "Disabled",
		"kustomize.toolkit.fluxcd.io/ssa":   "Ignore",
	}
	if o.spec.CommonMetadata != nil {
		maps.Copy(set, o.spec.CommonMetadata.Annotations)
	}
	return map[string]any{
		"apiVersion": "builtin", "kind": "AnnotationsTransformer", "metadata": map[string]any{"name": "annotations"},
		"annotations": set,
		"fieldSpecs":  []map[string]any{{"path": "metadata/annotations", "create": true}},
	}
}

// labels are those of the objects, not of their pods. The instance's common ones
// win over the others, and these over what patches set.
func (o operator) labels() map[string]any {
	set := map[string]string{
		"app.kubernetes.io/instance":   o.namespace,
		"app.kubernetes.io/managed-by": "flux-operator",
		"app.kubernetes.io/part-of":    "flux",
		"app.kubernetes.io/version":    o.version,
		instanceGroup + "/name":        o.name,
		instanceGroup + "/namespace":   o.namespace,
	}
	if o.spec.CommonMetadata != nil {
		maps.Copy(set, o.spec.CommonMetadata.Labels)
	}
	return map[string]any{
		"apiVersion": "builtin", "kind": "LabelTransformer", "metadata": map[string]any{"name": "labels"},
		"labels":     set,
		"fieldSpecs": []map[string]any{{"path": "metadata/labels", "create": true}},
	}
}

// nodeSelector is the patch of every Deployment.
func (o operator) nodeSelector() map[string]any {
	pod := map[string]any{"nodeSelector": map[string]any{"kubernetes.io/os": "linux"}}
	if secret := o.spec.Distribution.ImagePullSecret; secret != "" {
		pod["imagePullSecrets"] = []map[string]any{{"name": secret}}
	}
	return map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "all"},
		"spec": map[string]any{"template": map[string]any{
			"metadata": map[string]any{
				"labels":      map[string]any{"app.kubernetes.io/part-of": "flux"},
				"annotations": map[string]any{"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"},
			},
			"spec": pod,
		}},
	}
}

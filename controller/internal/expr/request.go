package expr

import (
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// requestOf is the request variable of an object that exists: as if it were
// created now. Fields that a create request would leave out are absent.
func requestOf(in Input) map[string]any {
	apiVersion, _ := in.Object["apiVersion"].(string)
	kindName, _ := in.Object["kind"].(string)
	gvk := schema.FromAPIVersionAndKind(apiVersion, kindName)
	kind := map[string]any{"group": gvk.Group, "version": gvk.Version, "kind": gvk.Kind}
	resource := map[string]any{
		"group": in.Resource.Group, "version": in.Resource.Version, "resource": in.Resource.Resource,
	}
	request := map[string]any{
		"kind": kind, "resource": resource,
		"requestKind": kind, "requestResource": resource,
		"operation": string(admissionv1.Create),
	}
	metadata, _ := in.Object["metadata"].(map[string]any)
	// A request about a Namespace is made in it.
	if in.Resource.Group == "" && in.Resource.Resource == "namespaces" {
		request["namespace"] = metadata["name"]
	}
	for _, name := range []string{"name", "namespace"} {
		if value, ok := metadata[name].(string); ok && value != "" {
			request[name] = value
		}
	}
	return request
}

// visibleNamespace is what upstream shows of a Namespace.
func visibleNamespace(namespace map[string]any) map[string]any {
	full, _ := namespace["metadata"].(map[string]any)
	metadata := map[string]any{}
	for _, name := range []string{
		"name", "generateName", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp",
		"deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "finalizers",
	} {
		if value, ok := full[name]; ok {
			metadata[name] = value
		}
	}
	visible := map[string]any{"metadata": metadata, "spec": map[string]any{}, "status": map[string]any{}}
	for _, name := range []string{"spec", "status"} {
		if value, ok := namespace[name]; ok {
			visible[name] = value
		}
	}
	return visible
}

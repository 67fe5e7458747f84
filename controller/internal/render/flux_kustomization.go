package render

import (
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// FluxKustomization is a Kustomization of Flux that a render has among its objects:
// what Flux builds of the folder that it names is not part of that render.
type FluxKustomization struct {
	Origin                      Origin
	APIVersion, Namespace, Name string
	// Path that it builds, relative to the root of its source, "." for the root.
	Path string
	// Patches is true where it changes what it builds by patches of its own.
	Patches bool
	// substitutes is true where it replaces variables: by values, which win, and by
	// those of ConfigMaps and Secrets where open is true. Where always is false, it
	// does so only if it has any.
	substitutes, open, always bool
	values                    map[string]string
}

// fluxKustomizationGroup is the API group of a Kustomization of Flux.
const fluxKustomizationGroup = "kustomize.toolkit.fluxcd.io"

// IsFluxKustomization says whether an object is a Kustomization of Flux.
func IsFluxKustomization(o *unstructured.Unstructured) bool {
	return o.GroupVersionKind().Group == fluxKustomizationGroup && o.GetKind() == "Kustomization"
}

// FluxPath is what a Kustomization of Flux builds, relative to the root of its
// source, "." for the root.
func FluxPath(o *unstructured.Unstructured) string {
	at, _, _ := unstructured.NestedString(o.Object, "spec", "path")
	inside := strings.TrimPrefix(path.Join("/", at), "/")
	if inside == "" {
		return "."
	}
	return inside
}

// FluxKustomizations are those among the objects, in their order.
func (r *Result) FluxKustomizations() []FluxKustomization {
	var out []FluxKustomization
	for _, object := range r.Objects {
		o := object.Object
		if !IsFluxKustomization(o) {
			continue
		}
		k := FluxKustomization{Origin: object.Origin, APIVersion: o.GetAPIVersion(), Namespace: o.GetNamespace(), Name: o.GetName(), Path: FluxPath(o)}
		patches, _, _ := unstructured.NestedSlice(o.Object, "spec", "patches")
		k.Patches = len(patches) > 0
		_, k.substitutes, _ = unstructured.NestedMap(o.Object, "spec", "postBuild")
		k.values, _, _ = unstructured.NestedStringMap(o.Object, "spec", "postBuild", "substitute")
		from, _, _ := unstructured.NestedSlice(o.Object, "spec", "postBuild", "substituteFrom")
		k.open = len(from) > 0
		strategy, _, _ := unstructured.NestedString(o.Object, "spec", "postBuild", "substituteStrategy")
		k.always = strategy == "Always"
		out = append(out, k)
	}
	return out
}

package render

import (
	"cmp"
	"slices"
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
	// Source is namespace/name of what it builds from, and SourceKind its kind.
	Source, SourceKind string
	// DependsOn are the Kustomizations that it waits for, as namespace/name.
	DependsOn []string
	// Sets is what it sets on the kustomization that it builds.
	Sets Overrides
	// Others are the other fields by which it changes what it builds, and which no
	// render applies, as "spec.patches".
	Others []string
	// substitutes is true where it replaces variables: by values, which win, and by
	// others that are not known where open is true. Where always is false, it
	// does so only if it has any.
	substitutes, open, always bool
	values                    map[string]string
}

// fluxKustomizationGroup is the API group of a Kustomization of Flux.
const fluxKustomizationGroup = "kustomize.toolkit.fluxcd.io"

// ownSource is what flux bootstrap and flux-operator call the source of the
// repository that they are told of.
const ownSource = "flux-system"

// IsFluxKustomization says whether an object is a Kustomization of Flux.
func IsFluxKustomization(o *unstructured.Unstructured) bool {
	return o.GroupVersionKind().Group == fluxKustomizationGroup && o.GetKind() == "Kustomization"
}

// ReadFluxKustomization reads a Kustomization of Flux. What is not of its type is left
// out.
func ReadFluxKustomization(o *unstructured.Unstructured, origin Origin) FluxKustomization {
	text := func(fields ...string) string {
		s, _, _ := unstructured.NestedString(o.Object, append([]string{"spec"}, fields...)...)
		return s
	}
	k := FluxKustomization{
		Origin: origin, APIVersion: o.GetAPIVersion(), Namespace: o.GetNamespace(), Name: o.GetName(),
		Path: inside(text("path")),
		Sets: Overrides{Namespace: text("targetNamespace"), NamePrefix: text("namePrefix"), NameSuffix: text("nameSuffix")},
	}
	k.SourceKind = text("sourceRef", "kind")
	k.Source = k.qualified(text("sourceRef", "namespace"), text("sourceRef", "name"))
	on, _, _ := unstructured.NestedSlice(o.Object, "spec", "dependsOn")
	for _, entry := range on {
		if fields, ok := entry.(map[string]any); ok {
			namespace, _ := fields["namespace"].(string)
			name, _ := fields["name"].(string)
			k.DependsOn = append(k.DependsOn, k.qualified(namespace, name))
		}
	}
	for _, field := range []string{"patches", "patchesStrategicMerge", "patchesJson6902", "components", "images"} {
		if all, _, _ := unstructured.NestedSlice(o.Object, "spec", field); len(all) > 0 {
			k.Others = append(k.Others, "spec."+field)
		}
	}
	if metadata, _, _ := unstructured.NestedMap(o.Object, "spec", "commonMetadata"); len(metadata) > 0 {
		k.Others = append(k.Others, "spec.commonMetadata")
	}
	_, k.substitutes, _ = unstructured.NestedMap(o.Object, "spec", "postBuild")
	k.values, _, _ = unstructured.NestedStringMap(o.Object, "spec", "postBuild", "substitute")
	from, _, _ := unstructured.NestedSlice(o.Object, "spec", "postBuild", "substituteFrom")
	k.open = len(from) > 0
	k.always = text("postBuild", "substituteStrategy") == "Always"
	return k
}

// qualified is namespace/name of what a Kustomization refers to, which is beside it
// where no namespace is said.
func (k *FluxKustomization) qualified(namespace, name string) string {
	return cmp.Or(namespace, k.Namespace) + "/" + name
}

// FluxKustomizations are those among the objects, in their order. A value that has one
// of Object.Variables is as little known as that.
func (r *Result) FluxKustomizations() []FluxKustomization {
	var out []FluxKustomization
	for _, object := range r.Objects {
		if IsFluxKustomization(object.Object) {
			k := ReadFluxKustomization(object.Object, object.Origin)
			k.forget(object.Variables)
			out = append(out, k)
		}
	}
	return out
}

// forget the values that have one of some variables.
func (k *FluxKustomization) forget(variables []string) {
	for name, value := range k.values {
		if slices.ContainsFunc(variablesIn(value), func(used string) bool { return slices.Contains(variables, used) }) {
			delete(k.values, name)
			k.open = true
		}
	}
}

// OwnSources are the sources, of the Kustomizations that the render of a path has, that
// are the repository itself: what is called as one, and that of the Kustomization which
// builds the path.
func OwnSources(in string, all []FluxKustomization) map[string]bool {
	own := map[string]bool{}
	for i := range all {
		if strings.HasSuffix(all[i].Source, "/"+ownSource) || all[i].Path == in {
			own[all[i].Source] = true
		}
	}
	return own
}

// LeftOut are the fields that are set, and not as they were applied, as those of the
// Kustomization's spec.
func (o Overrides) LeftOut(applied Overrides) []string {
	var out []string
	for _, field := range []struct{ name, value, applied string }{
		{"spec.targetNamespace", o.Namespace, applied.Namespace},
		{"spec.namePrefix", o.NamePrefix, applied.NamePrefix},
		{"spec.nameSuffix", o.NameSuffix, applied.NameSuffix},
	} {
		if field.value != "" && field.value != field.applied {
			out = append(out, field.name)
		}
	}
	return out
}

// Known are those without a variable of Flux.
func (o Overrides) Known() Overrides {
	for _, value := range []*string{&o.Namespace, &o.NamePrefix, &o.NameSuffix} {
		if strings.Contains(*value, "${") {
			*value = ""
		}
	}
	return o
}

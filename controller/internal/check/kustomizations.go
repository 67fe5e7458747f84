package check

import (
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/render"
)

// ownSource is what flux bootstrap and flux-operator call the source of the
// repository that they are told of.
const ownSource = "flux-system"

// fluxKustomization is a Kustomization of Flux in a render.
type fluxKustomization struct {
	*object
	// path in its source, as that of a run.
	path string
	// source is namespace/name.
	source    string
	dependsOn []string
	// target is the namespace that all it applies is moved to; empty for none.
	target string
	// recovery and guarded are what it applies, as far as that is rendered.
	recovery, guarded []string
}

// name is namespace/name.
func (k *fluxKustomization) name() string {
	return k.GetNamespace() + "/" + k.GetName()
}

// kustomizations of a render that follow the repository itself, with what they
// apply as far as any of the runs has rendered that.
func (r *run) kustomizations(runs []*run) []*fluxKustomization {
	var all []*fluxKustomization
	own := map[string]bool{}
	for _, obj := range r.objects.all {
		if !render.IsFluxKustomization(obj.Unstructured) {
			continue
		}
		k := newFluxKustomization(obj)
		own[k.source] = own[k.source] || path.Base(k.source) == ownSource || k.path == r.in
		all = append(all, k)
	}
	all = slices.DeleteFunc(all, func(k *fluxKustomization) bool { return !own[k.source] })
	for _, k := range all {
		k.read(runs)
	}
	return all
}

func newFluxKustomization(obj *object) *fluxKustomization {
	text := func(fields ...string) string {
		s, _, _ := unstructured.NestedString(obj.Object, append([]string{"spec"}, fields...)...)
		return s
	}
	qualified := func(namespace, name string) string {
		if namespace == "" {
			namespace = obj.GetNamespace()
		}
		return namespace + "/" + name
	}
	k := &fluxKustomization{
		object: obj, path: render.FluxPath(obj.Unstructured), target: text("targetNamespace"),
		source: qualified(text("sourceRef", "namespace"), text("sourceRef", "name")),
	}
	on, _, _ := unstructured.NestedSlice(obj.Object, "spec", "dependsOn")
	for _, entry := range on {
		if fields, ok := entry.(map[string]any); ok {
			namespace, _ := fields["namespace"].(string)
			name, _ := fields["name"].(string)
			k.dependsOn = append(k.dependsOn, qualified(namespace, name))
		}
	}
	return k
}

// read what a Kustomization applies: the render of its path, else what comes from
// files below it. What flux-operator makes of a FluxInstance is not applied by it.
func (k *fluxKustomization) read(runs []*run) {
	whole := slices.ContainsFunc(runs, func(r *run) bool { return r.in == k.path })
	for _, r := range runs {
		for _, obj := range r.objects.all {
			if obj.origin.Instance != "" || whole && r.in != k.path || !whole && !strings.HasPrefix(obj.origin.Path, k.path+"/") {
				continue
			}
			namespace := obj.GetNamespace()
			if k.target != "" && namespace != "" {
				namespace = k.target
			}
			switch by, matched := r.guarded[obj]; {
			case slices.Contains(recoveryNamespaces(), namespace):
				k.recovery = append(k.recovery, obj.id())
			case matched && !policy.IsRecoveryKind(obj.resource.GroupResource()):
				k.guarded = append(k.guarded, obj.id()+" ("+spoken(by)+")")
			}
		}
	}
}

// recoveryNamespaces hold what mends a cluster, where Mainstay is in its own namespace.
func recoveryNamespaces() []string {
	return append(policy.RecoveryNamespaces(), "mainstay-system")
}

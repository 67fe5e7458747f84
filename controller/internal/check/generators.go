package check

import "fmt"

// generates says whether a controller makes other objects of those of a kind. What
// flux-operator makes of a FluxInstance is rendered.
func generates(group, kind string) bool {
	switch group + "/" + kind {
	case "helm.toolkit.fluxcd.io/HelmRelease", "fluxcd.controlplane.io/ResourceSet":
		return true
	}
	return false
}

// notRendered notes the objects that others are made of, which nothing is known of.
func (r *run) notRendered() {
	var names []string
	for _, obj := range r.objects.all {
		if gvk := obj.GroupVersionKind(); generates(gvk.Group, gvk.Kind) {
			names = append(names, obj.id())
		}
	}
	if len(names) > 0 {
		r.note(Note{Check: NotRendered, Message: fmt.Sprintf("what is made of %d %s is not rendered, so it is not judged: %s",
			len(names), plural(len(names), "object", "objects"), some(names))})
	}
}

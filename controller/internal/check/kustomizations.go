package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/render"
)

// fluxKustomization is a Kustomization of Flux in a render.
type fluxKustomization struct {
	*object
	render.FluxKustomization
	// recovery and guarded are what it applies, as far as that is rendered.
	recovery, guarded []string
}

// name is namespace/name.
func (k *fluxKustomization) name() string {
	return k.Namespace + "/" + k.Name
}

// kustomizations are all Kustomizations of Flux in a render, and the sources of those
// that follow the repository itself.
func (r *run) kustomizations() (all []*fluxKustomization, own map[string]bool) {
	var read []render.FluxKustomization
	for _, obj := range r.objects.all {
		if render.IsFluxKustomization(obj.Unstructured) {
			k := render.ReadFluxKustomization(obj.Unstructured, obj.origin)
			all, read = append(all, &fluxKustomization{object: obj, FluxKustomization: k}), append(read, k)
		}
	}
	return all, render.OwnSources(r.in, read)
}

// paths reports the Kustomizations that build a folder which is not there, or not there
// for Flux: it applies nothing of them, and nothing of what depends on them. Where a
// PATH is all that there is of a tree, its root may not be that of the repository. Which
// folder one builds is not known where its path has a variable that is not.
func (r *run) paths(rendered *render.Result) {
	all, own := r.kustomizations()
	for _, k := range all {
		unknown := slices.DeleteFunc(slices.Clone(k.variables), func(name string) bool { return !uses(k.Path, name) })
		gone, away := "which the repository does not have", "which is not here"
		// Whoever pushes an OCI artifact may have put files in place of symlinks.
		link := rendered.Symlink(k.Path)
		if link != "" {
			gone = fmt.Sprintf("where %s is a symlink, and Flux leaves symlinks out of what it fetches", link)
			away = fmt.Sprintf("where %s is a symlink, which Flux does not fetch from Git", link)
		}
		switch {
		case rendered.HasFolder(k.Path):
		case len(unknown) > 0:
			r.unknown(k.object, KustomizationPathMissing, unknown, "which folder it builds")
		case own[k.Source] && r.in != "." && (link == "" || k.SourceKind == "GitRepository"):
			r.of(k.object, below("/spec/path"), Finding{
				Check: KustomizationPathMissing, Severity: v1alpha1.SeverityCritical,
				Message: fmt.Sprintf("Kustomization %s builds ./%s, %s: Flux applies nothing of it, and nothing of what depends on it", k.name(), k.Path, gone),
			})
		default:
			r.note(Note{
				Check: KustomizationPathMissing, Object: k.id(), Path: k.origin.Path, Line: k.origin.Line,
				Message: fmt.Sprintf("Kustomization %s builds ./%s of %s, %s, so what it applies is not judged", k.name(), k.Path, k.Source, away),
			})
		}
	}
}

// unfetched notes what the render took and Flux does not fetch, and the other way round.
func (r *run) unfetched(rendered *render.Result) {
	note := func(check string, names []string, one, many, what string) {
		if n := len(names); n > 0 {
			r.note(Note{Check: check, Message: fmt.Sprintf("%d %s %s: %s", n, plural(n, one, many), what, some(names))})
		}
	}
	note(Symlink, rendered.Symlinks.Followed, "symlink is", "symlinks are", "followed, which Flux leaves out of what it fetches")
	note(Symlink, rendered.Symlinks.LeftOut, "symlink is", "symlinks are", "left out, as of what Flux fetches, so what is there is not judged")
	note(DotFolder, rendered.DotFolders, "folder whose name begins with a dot is", "folders whose names begin with a dot are", "not judged, though Flux applies what Git has of it")
}

// read what a Kustomization applies: the render of its path, else what comes from
// files below it. What flux-operator makes of a FluxInstance is not applied by it.
func (k *fluxKustomization) read(runs []*run) {
	whole := slices.ContainsFunc(runs, func(r *run) bool { return r.in == k.Path })
	for _, r := range runs {
		for _, obj := range r.objects.all {
			if obj.origin.Instance != "" || whole && r.in != k.Path || !whole && !strings.HasPrefix(obj.origin.Path, k.Path+"/") {
				continue
			}
			namespace := obj.GetNamespace()
			if k.Sets.Namespace != "" && namespace != "" {
				namespace = k.Sets.Namespace
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

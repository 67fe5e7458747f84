package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
	"github.com/mainstay-dev/mainstay/controller/internal/render"
)

// buildersOf are the Flux Kustomizations, in any of the paths of the same tree, that
// build a path: those that follow the repository itself, if there are any, as another
// repository may have a path of that name, too.
func buildersOf(path rendered, all []rendered) []render.FluxKustomization {
	var by, own []render.FluxKustomization
	for _, other := range all {
		if other.result.Root != path.result.Root {
			continue
		}
		found := other.result.FluxKustomizations()
		sources := render.OwnSources(other.inside, found)
		for _, k := range found {
			if k.Path != path.inside {
				continue
			}
			by = append(by, k)
			if sources[k.Source] {
				own = append(own, k)
			}
		}
	}
	if len(own) > 0 {
		return own
	}
	return by
}

// overridden is a path as the Flux Kustomizations build it that set its namespace or
// parts of its names. Where they do not agree, it stays as it is.
func overridden(ctx context.Context, path rendered, all []rendered) (rendered, error) {
	by := buildersOf(path, all)
	if len(by) == 0 || by[0].Sets == (render.Overrides{}) ||
		slices.ContainsFunc(by, func(k render.FluxKustomization) bool { return k.Sets != by[0].Sets }) {
		return path, nil
	}
	path.opts.Overrides = by[0].Sets
	again, err := renderOne(ctx, path.opts)
	if err != nil {
		return path, err
	}
	return again, nil
}

// substitute the variables of a path as the Flux Kustomizations do that build it.
func substitute(path rendered, all []rendered) error {
	return path.result.Substitute(buildersOf(path, all))
}

// Names of the notes about Flux Kustomizations.
const (
	notePath   = "kustomization-path"
	noteFields = "kustomization-fields"
)

// fluxNotes say what Flux Kustomizations build and change that is not checked.
func fluxNotes(all []rendered) []check.Note {
	checked := map[[2]string]rendered{}
	for _, path := range all {
		checked[[2]string{path.result.Root, path.inside}] = path
	}
	var notes []check.Note
	for _, path := range all {
		for _, k := range path.result.FluxKustomizations() {
			name := k.Namespace + "/" + k.Name
			note := check.Note{
				Object: k.APIVersion + "/Kustomization " + name,
				Path:   k.Origin.Path, Line: k.Origin.Line, In: path.inside,
			}
			built, known := checked[[2]string{path.result.Root, k.Path}]
			fields := leftOut(k, built)
			switch {
			case !known && path.result.HasFolder(k.Path):
				note.Check = notePath
				note.Message = fmt.Sprintf("path %s of Kustomization %s is not checked here: add it to the command line", dotted(k.Path), name)
			case known && len(fields) > 0:
				note.Check = noteFields
				note.Message = fmt.Sprintf("Kustomization %s changes %s by %s, which is not applied here", name, dotted(k.Path), strings.Join(fields, " and "))
			default:
				continue
			}
			notes = append(notes, note)
		}
	}
	return notes
}

// leftOut are the fields by which a Kustomization changes what it builds and that were
// not applied to its render.
func leftOut(k render.FluxKustomization, built rendered) []string {
	if k.Sets == built.opts.Overrides {
		return k.Others
	}
	return append(k.Sets.Fields(), k.Others...)
}

// dotted is a path as Flux's documentation writes it.
func dotted(path string) string {
	if path == "." {
		return "./"
	}
	return "./" + path
}

package main

import (
	"cmp"
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
		sources := render.OwnSources(other.result.Path, found)
		for _, k := range found {
			if k.Path != path.result.Path {
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

// builtInOrder are the indexes of the paths, each behind those with the Flux
// Kustomizations that build it: in these, too, variables are substituted, before they
// say how it is built. Of paths that build each other, one that builds itself is first,
// and the others stay in the order that is given.
func builtInOrder(all []rendered) []int {
	above := builders(all)
	rank, order := make([]int, len(all)), make([]int, len(all))
	for i := range all {
		order[i] = i
		if !above[i][i] {
			rank[i] = 1
		}
		above[i][i] = true
	}
	for via := range all {
		for i := range all {
			if !above[i][via] {
				continue
			}
			for j := range all {
				above[i][j] = above[i][j] || above[via][j]
			}
		}
	}
	// What is above a path has less above itself, and as much where they build each other.
	for i := range all {
		for j := range all {
			if above[i][j] {
				rank[i] += 2
			}
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rank[a], rank[b]) })
	return order
}

// builders are, of each path, those that may have a Kustomization which builds it.
func builders(all []rendered) [][]bool {
	by := make([][]bool, len(all))
	for i := range all {
		by[i] = make([]bool, len(all))
	}
	for i, path := range all {
		for _, k := range path.result.FluxKustomizations() {
			for j, other := range all {
				by[j][i] = by[j][i] || other.result.Root == path.result.Root && mayBuild(k, other.result.Path)
			}
		}
	}
	return by
}

// mayBuild says whether a Kustomization builds a path, whatever the values of the
// variables in its own.
func mayBuild(k render.FluxKustomization, path string) bool {
	before, after, variable := strings.Cut(k.Path, "${")
	if !variable {
		return path == k.Path
	}
	after = after[strings.LastIndex(after, "}")+1:]
	// A slash goes with an empty value.
	return strings.HasPrefix(path, strings.TrimSuffix(before, "/")) && strings.HasSuffix(path, strings.TrimPrefix(after, "/"))
}

// applied makes a path what the Flux Kustomizations apply that build it: with the
// namespace and parts of names that they set, where they agree and it is known which,
// and with their variables.
func applied(ctx context.Context, path *rendered, all []rendered) error {
	by := buildersOf(*path, all)
	if len(by) > 0 && !slices.ContainsFunc(by, func(k render.FluxKustomization) bool { return k.Sets != by[0].Sets }) {
		path.opts.Overrides = by[0].Sets.Known()
	}
	if path.opts.Overrides != (render.Overrides{}) {
		again, err := renderOne(ctx, path.opts)
		if err != nil {
			return err
		}
		*path = again
	}
	return path.result.Substitute(by)
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
		checked[[2]string{path.result.Root, path.result.Path}] = path
	}
	var notes []check.Note
	for _, path := range all {
		for _, k := range path.result.FluxKustomizations() {
			name := k.Namespace + "/" + k.Name
			note := check.Note{
				Object: k.APIVersion + "/Kustomization " + name,
				Path:   k.Origin.Path, Line: k.Origin.Line, In: path.result.Path,
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
	return append(k.Sets.LeftOut(built.opts.Overrides), k.Others...)
}

// dotted is a path as Flux's documentation writes it.
func dotted(path string) string {
	if path == "." {
		return "./"
	}
	return "./" + path
}

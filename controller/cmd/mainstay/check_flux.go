package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
	"github.com/mainstay-dev/mainstay/controller/internal/render"
)

// substitute the variables of a path as the Flux Kustomizations do that are in any
// of the paths of the same tree and build this one.
func substitute(path rendered, all []rendered) error {
	var by []render.FluxKustomization
	for _, other := range all {
		if other.result.Root != path.result.Root {
			continue
		}
		for _, k := range other.result.FluxKustomizations() {
			if k.Path == path.inside {
				by = append(by, k)
			}
		}
	}
	return path.result.Substitute(by)
}

// Names of the notes about Flux Kustomizations.
const (
	notePath    = "kustomization-path"
	notePatches = "kustomization-patches"
)

// fluxNotes say what Flux Kustomizations build and change that is not checked.
func fluxNotes(all []rendered) []check.Note {
	checked := map[[2]string]bool{}
	for _, path := range all {
		checked[[2]string{path.result.Root, path.inside}] = true
	}
	var notes []check.Note
	for _, path := range all {
		for _, k := range path.result.FluxKustomizations() {
			name := k.Namespace + "/" + k.Name
			note := check.Note{
				Object: k.APIVersion + "/Kustomization " + name,
				Path:   k.Origin.Path, Line: k.Origin.Line, In: path.inside,
			}
			switch {
			case !checked[[2]string{path.result.Root, k.Path}]:
				if !isFolder(path.result.Root, k.Path) {
					continue
				}
				note.Check = notePath
				note.Message = fmt.Sprintf("path %s of Kustomization %s is not checked here: add it to the command line", dotted(k.Path), name)
			case k.Patches:
				note.Check = notePatches
				note.Message = fmt.Sprintf("spec.patches of Kustomization %s are not applied to %s here, and are by Flux", name, dotted(k.Path))
			default:
				continue
			}
			notes = append(notes, note)
		}
	}
	return notes
}

// dotted is a path as Flux's documentation writes it.
func dotted(path string) string {
	if path == "." {
		return "./"
	}
	return "./" + path
}

// isFolder says whether the tree has a folder, which another source's path has not.
func isFolder(root, path string) bool {
	info, err := os.Stat(filepath.Join(root, filepath.FromSlash(path)))
	return err == nil && info.IsDir()
}

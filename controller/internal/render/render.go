package render

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Origin is a place in the tree that was read.
type Origin struct {
	// Path of the source file, relative to the tree's root, with slashes.
	Path string
	// Line in the source file, from 1. The first line of the object or of the
	// list entry that is meant.
	Line int
	// Instance is namespace/name of the FluxInstance that flux-operator makes
	// the object from, or that the patch is written in. Empty for what
	// kustomize itself builds.
	Instance string
}

// Object is one object of the render. The origin of what flux-operator makes is
// the FluxInstance.
type Object struct {
	Object *unstructured.Unstructured
	Origin Origin
	// Variables of Flux that the object still has after Result.Substitute, as
	// their values are not in Git; sorted.
	Variables []string
}

// Change is one field that a patch really changed.
type Change struct {
	// Target is the object as the patch met it: "apps/v1/Deployment ns/name",
	// and "v1/Namespace name" without a namespace.
	Target string
	// Field is the JSON pointer of the field, empty for the whole object.
	Field string
	// Before and After are nil where the field was not, or is no more, there.
	Before any
	After  any
}

// Override says that a later patch set a field that this one had set too, to
// another value: the later one wins.
type Override struct {
	// By is the index of the later patch in Result.Patches.
	By     int
	Target string
	Field  string
	// Set is what the later patch left there.
	Set any
}

// Kinds of patches.
const (
	StrategicMerge = "strategic-merge"
	JSON6902       = "json6902"
	Replacement    = "replacement"
	Images         = "images"
	Replicas       = "replicas"
)

// Patch is one entry of a kustomization, or of a FluxInstance's
// spec.kustomize.patches, that is meant to change objects.
type Patch struct {
	// Origin is the entry in the kustomization or in the FluxInstance, also
	// where it names a file.
	Origin Origin
	// List is the field that holds the entry: "patches",
	// "patchesStrategicMerge", "patchesJson6902", "replacements", "images",
	// "replicas" or "spec.kustomize.patches".
	List string
	// Index of the entry in that list, from 0.
	Index int
	// Kind is one of the constants above.
	Kind string
	// File of the patch's text, relative to the tree's root; empty for an
	// inline patch.
	File string
	// Target as written: the selector as "kind=Deployment name=x", or the
	// objects that a patch without a target names, separated by commas.
	Target string
	// Comment is what stands above, or behind the first line of, the entry in
	// the source, without the "#".
	Comment string
	// Matched are the objects that the patch selected, written as Change.Target.
	Matched []string
	// Changes are the fields that really changed, by object and field. A patch
	// that only states again what is there has none.
	Changes []Change
	// OverriddenBy are the changes that a later patch undid or replaced.
	OverriddenBy []Override
}

// Result of a render.
type Result struct {
	// Root of the tree: an absolute path that every Origin.Path is relative to.
	Root string
	// Path that was rendered, relative to the root, with slashes: "." for the root,
	// and of a kustomization's file its folder.
	Path string
	// Objects in kustomize's order, followed by those of each FluxInstance.
	Objects []Object
	// Patches in the order in which they are applied. A kustomization that is
	// reached on two ways has its patches here twice.
	Patches []Patch
	// Symlinks of the tree that the build met.
	Symlinks Symlinks
	// DotFolders are the folders, relative to the root, that were left out of one
	// without a kustomization as their name begins with a dot.
	DotFolders []string
}

// Options of Render.
type Options struct {
	// Path of a folder with a kustomization, which the kustomization's file stands
	// for, too, of a folder of plain manifests (of which all are taken that Flux
	// fetches, but for folders whose name begins with a dot), or of one manifest.
	Path string
	// Root that no file may be outside of. Empty: the root of the Git
	// repository that holds Path, else Path.
	Root string
	// Distribution of Flux for the FluxInstances of the tree: a folder in the
	// layout of flux-operator's config/data, of one version of it, or of
	// flux2's manifests; a gotk-components.yaml; or oci:// and a reference.
	// Needed only where there is a FluxInstance.
	Distribution string
	// Overrides of the kustomization at Path.
	Overrides Overrides
	// Limits on what is read. The zero value is DefaultLimits.
	Limits Limits
}

// Overrides are what a Flux Kustomization sets on the kustomization that it builds, in
// the place of what that says. An empty one leaves it as it is.
type Overrides struct {
	Namespace, NamePrefix, NameSuffix string
}

// Error is a mistake in the tree, or in what was passed.
type Error struct {
	// Origin of the mistake. Without a path it is none of the tree's files.
	Origin Origin
	Err    error
}

// Error is "path:line: what is wrong".
func (e *Error) Error() string {
	switch {
	case e.Origin.Path == "":
		return e.Err.Error()
	case e.Origin.Line == 0:
		return fmt.Sprintf("%s: %s", e.Origin.Path, e.Err)
	}
	return fmt.Sprintf("%s:%d: %s", e.Origin.Path, e.Origin.Line, e.Err)
}

// Unwrap returns what is wrong without the place.
func (e *Error) Unwrap() error { return e.Err }

// HasFolder says whether the tree has a folder: a path relative to its root, with
// slashes. One that is reached through a symlink is none to Flux.
func (r *Result) HasFolder(path string) bool {
	if r.Symlink(path) != "" {
		return false
	}
	info, err := os.Stat(filepath.Join(r.Root, filepath.FromSlash(path)))
	return err == nil && info.IsDir()
}

// building keeps builds apart: kustomize's schema is one for the whole process.
var building sync.Mutex //nolint:gochecknoglobals // it guards a global of kustomize

// maxCopied is how many bytes the copy operations of one JSON patch may add.
const maxCopied = 16 << 20

// Render builds the tree at opts.Path. Every mistake in the tree is an *Error.
// One render runs at a time.
func Render(ctx context.Context, opts Options) (*Result, error) {
	building.Lock()
	defer building.Unlock()
	jsonpatch.AccumulatedCopySizeLimit = maxCopied
	tree, err := openTree(opts.Path, opts.Root, opts.Limits)
	if err != nil {
		return nil, err
	}
	w := newWalk(ctx, tree)
	w.overrides = opts.Overrides
	built, err := w.build(tree.start)
	if err != nil {
		return nil, err
	}
	result := &Result{Root: tree.root, Path: tree.start, Objects: built.objects, Patches: built.patches, Symlinks: tree.links, DotFolders: tree.dotFolders}
	if err := addInstances(ctx, result, built, opts); err != nil {
		return nil, err
	}
	return result, nil
}

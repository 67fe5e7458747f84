package render

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

// walk goes through the kustomizations of a tree in kustomize's order. On its
// way it reads every file that the build needs, finds mistakes with their places,
// and verifies the patches.
type walk struct {
	ctx      context.Context //nolint:containedctx // one walk is one call
	tree     *tree
	factory  *resmap.Factory
	provider *provider.DepProvider
	stack    []string
	visits   int
	read     map[string]*kustomization // by folder
	patches  []Patch
	places   map[*resource.Resource]place
	// set are the patches that changed a field of an object, by JSON pointer.
	set map[*resource.Resource]map[string][]int
	// overrides are set on the kustomization at the top.
	overrides Overrides
	reported  func(k *kustomization, list string, index int) (Origin, string, bool)
}

// place is where an object was written.
type place struct {
	origin Origin
	doc    document
}

// accumulated is what a kustomization has gathered so far.
type accumulated struct {
	resources resmap.ResMap
	// configurations and crds also work on what the kustomizations above do.
	// Relative to the root.
	configurations, crds []string
}

func newWalk(ctx context.Context, t *tree) *walk {
	deps := provider.NewDefaultDepProvider()
	w := &walk{
		ctx: ctx, tree: t, provider: deps, factory: resmap.NewFactory(deps.GetResourceFactory()),
		read: map[string]*kustomization{}, places: map[*resource.Resource]place{}, set: map[*resource.Resource]map[string][]int{},
	}
	w.reported = func(k *kustomization, list string, index int) (Origin, string, bool) {
		i := strconv.Itoa(index)
		return k.origin(list, i), k.comment(list, i), true
	}
	return w
}

// directory gathers the kustomization of a folder. Those of a Component work on
// what is in acc already.
func (w *walk) directory(dir string, from *kustomization, at Origin, acc *accumulated) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if i := slices.Index(w.stack, dir); i >= 0 {
		return &Error{Origin: at, Err: fmt.Errorf("a cycle: %s", strings.Join(append(slices.Clone(w.stack[i:]), dir), " -> "))}
	}
	if len(w.stack) >= w.tree.limits.Depth {
		return &Error{Origin: at, Err: fmt.Errorf("kustomizations name each other more than %d deep", w.tree.limits.Depth)}
	}
	if w.visits++; w.visits > w.tree.limits.Visits {
		return &Error{Origin: at, Err: fmt.Errorf("kustomizations name each other more than %d times in all: one that is reached on two ways is built twice, and all that it names", w.tree.limits.Visits)}
	}
	k, err := w.kustomization(dir, at)
	if err != nil {
		return err
	}
	if from != nil {
		named := slices.ContainsFunc(from.Components, func(name string) bool { return path.Join(from.dir, name) == dir })
		switch component := k.Kind == types.ComponentKind; {
		case named && !component:
			return &Error{Origin: at, Err: fmt.Errorf("%s is a %s, want a Component", dir, k.Kind)}
		case component && !named:
			return &Error{Origin: at, Err: fmt.Errorf("%s is a Component: name it under components", dir)}
		}
	}
	w.stack = append(w.stack, dir)
	defer func() { w.stack = w.stack[:len(w.stack)-1] }()
	return w.target(k, acc)
}

// kustomization returns that of a folder, which is parsed once.
func (w *walk) kustomization(dir string, at Origin) (*kustomization, error) {
	if k, known := w.read[dir]; known {
		return k, nil
	}
	file, err := w.tree.kustomizationFile(dir)
	if err != nil {
		return nil, err
	}
	if file == "" {
		return nil, &Error{Origin: at, Err: fmt.Errorf("%s has no kustomization", dir)}
	}
	content, err := w.tree.loadYAML(file)
	if err != nil {
		return nil, asError(Origin{Path: file}, err)
	}
	k, err := readKustomization(dir, file, content)
	if err != nil {
		return nil, err
	}
	w.read[dir] = k
	return k, nil
}

// target is one kustomization: its resources, generators, components and
// transformers, in this order.
func (w *walk) target(k *kustomization, acc *accumulated) error {
	for i, name := range k.Resources {
		if err := w.resource(k, name, k.origin("resources", strconv.Itoa(i)), acc); err != nil {
			return err
		}
	}
	if err := w.inputs(k, acc); err != nil {
		return err
	}
	if err := w.generate(k, acc); err != nil {
		return err
	}
	for i, name := range k.Components {
		at := k.origin("components", strconv.Itoa(i))
		dir, err := w.folder(k, name, at)
		if err != nil {
			return err
		}
		if err := w.directory(dir, k, at, acc); err != nil {
			return err
		}
	}
	return w.transform(k, acc)
}

// resource adds a manifest, or what the kustomization of a folder gives.
func (w *walk) resource(k *kustomization, name string, at Origin, acc *accumulated) error {
	if isRemote(name) {
		return &Error{Origin: at, Err: fmt.Errorf("%s is remote: nothing is fetched, copy it into the repository", name)}
	}
	rel, err := w.resolve(k, name)
	if err != nil {
		return asError(at, err)
	}
	if w.tree.isDir(rel) {
		sub := &accumulated{resources: resmap.New()}
		if err := w.directory(rel, k, at, sub); err != nil {
			return err
		}
		acc.configurations = append(acc.configurations, sub.configurations...)
		acc.crds = append(acc.crds, sub.crds...)
		if err := acc.resources.AppendAll(sub.resources); err != nil {
			return &Error{Origin: at, Err: err}
		}
		return nil
	}
	content, err := w.tree.loadManifest(rel)
	if err != nil {
		return asError(at, err)
	}
	found, err := w.factory.NewResMapFromBytes(content)
	if err != nil {
		return &Error{Origin: Origin{Path: rel, Line: max(lineIn(err), 1)}, Err: fmt.Errorf("read the manifest: %w", err)}
	}
	w.locate(rel, content, found)
	if err := acc.resources.AppendAll(found); err != nil {
		return &Error{Origin: at, Err: err}
	}
	return nil
}

// resolve is a path that a kustomization names, relative to the root.
func (w *walk) resolve(k *kustomization, name string) (string, error) {
	if w.tree.root == "" {
		return path.Join(k.dir, name), nil
	}
	return w.tree.resolve(k.dir, name)
}

// folder is a folder that a kustomization names.
func (w *walk) folder(k *kustomization, name string, at Origin) (string, error) {
	if isRemote(name) {
		return "", &Error{Origin: at, Err: fmt.Errorf("%s is remote: nothing is fetched, copy it into the repository", name)}
	}
	rel, err := w.resolve(k, name)
	if err != nil {
		return "", asError(at, err)
	}
	if !w.tree.isDir(rel) {
		return "", &Error{Origin: at, Err: fmt.Errorf("%s is not a folder", name)}
	}
	return rel, nil
}

// locate remembers where each object of a file is written.
func (w *walk) locate(file string, content []byte, found resmap.ResMap) {
	docs := documents(content)
	for _, res := range found.Resources() {
		id := objectID(res.GetApiVersion(), res.GetKind(), res.GetNamespace(), res.GetName())
		i := slices.IndexFunc(docs, func(d document) bool { return d.id == id })
		p := place{origin: Origin{Path: file, Line: 1}}
		if i >= 0 {
			p.origin.Line, p.doc = docs[i].node.Line, docs[i]
		}
		w.places[res] = p
	}
}

// override sets on the kustomization of a folder what a Flux Kustomization sets on the
// one that it builds, as kustomize-controller does: in the file that kustomize reads.
func (w *walk) override(dir string) error {
	if w.overrides == (Overrides{}) {
		return nil
	}
	k, err := w.kustomization(dir, Origin{Path: dir})
	if err != nil {
		return err
	}
	k.Namespace = cmp.Or(w.overrides.Namespace, k.Namespace)
	k.NamePrefix = cmp.Or(w.overrides.NamePrefix, k.NamePrefix)
	k.NameSuffix = cmp.Or(w.overrides.NameSuffix, k.NameSuffix)
	content, err := yaml.Marshal(k.Kustomization)
	if err != nil {
		return k.fail(fmt.Errorf("write the kustomization: %w", err))
	}
	w.tree.memory.put(k.file, content)
	return nil
}

// synthesise is the kustomization that Flux makes for a folder that has none, or
// the one of a single manifest.
func (w *walk) synthesise(start string) (string, error) {
	dir, names := start, []string(nil)
	if w.tree.isDir(start) {
		var err error
		if names, err = w.tree.manifests(start); err != nil {
			return "", err
		}
		if len(names) == 0 {
			return "", &Error{Origin: Origin{Path: start}, Err: errors.New("there is no kustomization and no manifest that Flux would fetch")}
		}
	} else {
		dir, names = path.Dir(start), []string{path.Base(start)}
	}
	content, err := yaml.Marshal(types.Kustomization{
		TypeMeta:  types.TypeMeta{APIVersion: types.KustomizationVersion, Kind: types.KustomizationKind},
		Resources: names,
	})
	if err != nil {
		return "", fmt.Errorf("write a kustomization for %s: %w", start, err)
	}
	w.tree.made = path.Join(dir, "kustomization.yaml")
	return dir, w.tree.put(w.tree.made, content)
}

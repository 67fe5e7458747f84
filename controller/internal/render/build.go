package render

import (
	"fmt"
	"path"
	"regexp"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
)

// built is what one kustomization gives, at the top of a tree.
type built struct {
	objects []Object
	places  []place // by the index in objects
	patches []Patch
}

// build verifies the kustomization in start and builds it.
func (w *walk) build(start string) (*built, error) {
	dir := start
	if w.tree.root != "" {
		var file string
		var err error
		if w.tree.isDir(dir) {
			if file, err = w.tree.kustomizationFile(dir); err != nil {
				return nil, err
			}
		}
		if file == "" {
			if dir, err = w.synthesise(dir); err != nil {
				return nil, err
			}
		}
	}
	if err := w.override(dir); err != nil {
		return nil, err
	}
	acc := &accumulated{resources: resmap.New()}
	if err := w.directory(dir, nil, Origin{Path: dir}, acc); err != nil {
		return nil, err
	}
	out, err := w.kustomize(dir, krusty.ReorderOptionUnspecified)
	if err != nil {
		return nil, asError(Origin{Path: dir}, fmt.Errorf("build the kustomization: %w", err))
	}
	return w.collect(dir, acc, out)
}

// kustomize builds what is in memory.
func (w *walk) kustomize(dir string, order krusty.ReorderOption) (resmap.ResMap, error) {
	return krusty.MakeKustomizer(&krusty.Options{
		Reorder:          order,
		LoadRestrictions: types.LoadRestrictionsNone, // the tree has none but its own files
		PluginConfig:     types.DisabledPluginConfig(),
	}).Run(w.tree.memory, path.Join("/", dir))
}

// collect puts the place of its source to every object of the build.
func (w *walk) collect(dir string, acc *accumulated, out resmap.ResMap) (*built, error) {
	sources := map[string]*resource.Resource{}
	for _, res := range acc.resources.Resources() {
		sources[resourceID(res)] = res
	}
	b := &built{patches: w.patches}
	for _, res := range out.Resources() {
		content, err := snapshot(res)
		if err != nil {
			return nil, err
		}
		from, ok := sources[resourceID(res)]
		if !ok {
			name := hashed().ReplaceAllString(res.GetName(), "")
			from, ok = sources[objectID(res.GetApiVersion(), res.GetKind(), res.GetNamespace(), name)]
		}
		p := place{origin: Origin{Path: dir, Line: 1}}
		if ok {
			if known, found := w.places[from]; found {
				p = known
			}
		}
		b.objects = append(b.objects, Object{Object: &unstructured.Unstructured{Object: content}, Origin: p.origin})
		b.places = append(b.places, p)
	}
	return b, nil
}

// hashed is the suffix that kustomize gives to the names of generated objects.
func hashed() *regexp.Regexp { return regexp.MustCompile(`-[a-z0-9]{10}$`) }

// resourceID is who an object is now.
func resourceID(res *resource.Resource) string {
	return objectID(res.GetApiVersion(), res.GetKind(), res.GetNamespace(), res.GetName())
}

package render

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/builtins" //nolint:staticcheck // kustomize has no other way to apply one patch
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

// entry is a patch about to be applied.
type entry struct {
	list    string
	index   int
	kind    string
	file    string
	target  string
	plugin  resmap.Transformer
	matched []*resource.Resource
}

// apply applies one patch and notes what it did.
func (w *walk) apply(k *kustomization, e entry, m resmap.ResMap) error {
	origin, comment, reported := w.reported(k, e.list, e.index)
	before := map[*resource.Resource]map[string]any{}
	ids := map[*resource.Resource]string{}
	p := Patch{Origin: origin, List: e.list, Index: e.index, Kind: e.kind, File: e.file, Target: e.target, Comment: comment}
	for _, res := range e.matched {
		ids[res] = resourceID(res)
		p.Matched = append(p.Matched, ids[res])
		if !reported {
			continue
		}
		content, err := snapshot(res)
		if err != nil {
			return asError(origin, err)
		}
		before[res] = content
	}
	if err := w.grow(e.matched, func() error { return e.plugin.Transform(m) }); err != nil {
		return asError(origin, fmt.Errorf("apply the patch to %s: %w", cmp.Or(e.target, "its objects"), err))
	}
	// A patch that names the object that it deletes leaves an empty one behind.
	m.DropEmpties()
	if !reported {
		return nil
	}
	left := m.Resources()
	var objects []*resource.Resource // of each change
	for _, res := range e.matched {
		if !slices.Contains(left, res) {
			p.Changes = append(p.Changes, Change{Target: ids[res], Before: before[res]})
			objects = append(objects, res)
			continue
		}
		after, err := snapshot(res)
		if err != nil {
			return asError(origin, err)
		}
		for _, c := range diff(before[res], after) {
			c.Target = ids[res]
			p.Changes = append(p.Changes, c)
			objects = append(objects, res)
		}
	}
	w.patches = append(w.patches, p)
	w.overridden(objects)
	return nil
}

// dropInternal takes kustomize's own annotations out of an object.
func dropInternal(content map[string]any) {
	meta, ok := content["metadata"].(map[string]any)
	if !ok {
		return
	}
	annotations, ok := meta["annotations"].(map[string]any)
	if !ok {
		return
	}
	for key := range annotations {
		if strings.HasPrefix(key, "internal.config.kubernetes.io/") {
			delete(annotations, key)
		}
	}
	if len(annotations) == 0 {
		delete(meta, "annotations")
	}
}

// patchesList applies the entries of patches and of patchesJson6902.
func (w *walk) patchesList(k *kustomization, list string, patches []types.Patch, m resmap.ResMap) error {
	for i, patch := range patches {
		origin, _, _ := w.reported(k, list, i)
		text := patch.Patch
		e := entry{list: list, index: i, target: selector(patch.Target)}
		if patch.Path != "" {
			content, err := (loader{w.tree, k.dir}).yaml(patch.Path)
			if err != nil {
				return unread(origin, "the patch", err)
			}
			text = string(content)
			e.file = path.Join(k.dir, patch.Path)
		} else if err := w.tree.text(text); err != nil {
			return unread(origin, "the patch", err)
		}
		config, err := yaml.Marshal(patch)
		if err != nil {
			return asError(origin, fmt.Errorf("read the patch: %w", err))
		}
		plugin := builtins.NewPatchTransformerPlugin()
		if err := plugin.Config(w.helpers(k.dir), config); err != nil {
			return asError(origin, fmt.Errorf("read the patch: %w", err))
		}
		e.plugin = plugin
		if e.kind = kindOf(text); e.kind == StrategicMerge && patch.Target == nil {
			if e.matched, e.target, err = w.named(m, text); err != nil {
				return asError(origin, err)
			}
		} else if patch.Target != nil {
			if e.matched, err = m.Select(*patch.Target); err != nil {
				return asError(origin, fmt.Errorf("read the target %s: %w", e.target, err))
			}
		}
		if err := w.apply(k, e, m); err != nil {
			return err
		}
	}
	return nil
}

// unread says that something could not be read: in its own file, else where it is
// named or written.
func unread(at Origin, what string, err error) error {
	if placed := new(*Error); errors.As(err, placed) {
		return *placed
	}
	return &Error{Origin: at, Err: fmt.Errorf("read %s: %w", what, err)}
}

// kindOf tells a list of JSON 6902 operations from a strategic merge patch.
func kindOf(text string) string {
	var list []any
	if err := yaml.Unmarshal([]byte(text), &list); err == nil && len(list) > 0 {
		return JSON6902
	}
	return StrategicMerge
}

// named are the objects that a strategic merge patch names itself.
func (w *walk) named(m resmap.ResMap, text string) ([]*resource.Resource, string, error) {
	patches, err := w.factory.RF().SliceFromBytes([]byte(text))
	if err != nil {
		return nil, "", fmt.Errorf("read the patch: %w", err)
	}
	var found []*resource.Resource
	var names []string
	for _, patch := range patches {
		names = append(names, resourceID(patch))
		res, err := m.GetById(patch.OrgId())
		if err != nil {
			return nil, "", fmt.Errorf("the patch names %s, which is not there", resourceID(patch))
		}
		found = append(found, res)
	}
	return found, strings.Join(names, ", "), nil
}

// inline says whether an entry is objects, else it names a file.
func (w *walk) inline(entry string) (bool, error) {
	if err := w.tree.text(entry); err != nil {
		if errors.Is(err, errNotYAML) && !strings.Contains(entry, "\n") {
			return false, nil
		}
		return false, err
	}
	_, err := w.factory.RF().SliceFromBytes([]byte(entry))
	return err == nil, nil
}

// patchesStrategicMerge applies the older list of patches.
func (w *walk) patchesStrategicMerge(k *kustomization, m resmap.ResMap) error {
	for i, patch := range k.PatchesStrategicMerge { //nolint:staticcheck // deprecated, and still built
		origin, _, _ := w.reported(k, "patchesStrategicMerge", i)
		e := entry{list: "patchesStrategicMerge", index: i, kind: StrategicMerge}
		text := string(patch)
		inline, err := w.inline(text)
		if err != nil {
			return unread(origin, "the patch", err)
		}
		if !inline {
			content, err := (loader{w.tree, k.dir}).yaml(text)
			if err != nil {
				return unread(origin, "the patch", err)
			}
			e.file, text = path.Join(k.dir, text), string(content)
		}
		if e.matched, e.target, err = w.named(m, text); err != nil {
			return asError(origin, err)
		}
		config, err := yaml.Marshal(map[string]any{"patches": text})
		if err != nil {
			return asError(origin, fmt.Errorf("read the patch: %w", err))
		}
		plugin := builtins.NewPatchStrategicMergeTransformerPlugin()
		if err := plugin.Config(w.helpers(k.dir), config); err != nil {
			return asError(origin, fmt.Errorf("read the patch: %w", err))
		}
		e.plugin = plugin
		if err := w.apply(k, e, m); err != nil {
			return err
		}
	}
	return nil
}

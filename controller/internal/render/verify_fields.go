package render

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/builtins" //nolint:staticcheck // kustomize has no other way to apply one patch
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/yaml"
)

// replicas applies the counts, which kustomize sets on these kinds.
func (w *walk) replicas(k *kustomization, m resmap.ResMap) error {
	kinds := []string{"Deployment", "ReplicaSet", "ReplicationController", "StatefulSet"}
	for i, replica := range k.Replicas {
		e := entry{list: "replicas", index: i, kind: Replicas, target: "name=" + replica.Name}
		plugin := &builtins.ReplicaCountTransformerPlugin{Replica: replica}
		for _, kind := range kinds {
			plugin.FieldSpecs = append(plugin.FieldSpecs, types.FieldSpec{
				Gvk: resid.Gvk{Kind: kind}, Path: "spec/replicas", CreateIfNotPresent: true,
			})
		}
		e.plugin = plugin
		e.matched = m.GetMatchingResourcesByAnyId(func(id resid.ResId) bool {
			return id.Name == replica.Name && slices.Contains(kinds, id.Kind)
		})
		if err := w.apply(k, e, m); err != nil {
			return err
		}
	}
	return nil
}

// images applies the image overrides to the containers of every kind.
func (w *walk) images(k *kustomization, m resmap.ResMap) error {
	for i, image := range k.Images {
		e := entry{list: "images", index: i, kind: Images, target: "name=" + image.Name}
		e.plugin = &builtins.ImageTagTransformerPlugin{ImageTag: image, FieldSpecs: []types.FieldSpec{
			{Path: "spec/containers[]/image"},
			{Path: "spec/initContainers[]/image"},
			{Path: "spec/template/spec/containers[]/image"},
			{Path: "spec/template/spec/initContainers[]/image"},
			{Path: "spec/jobTemplate/spec/template/spec/containers[]/image"},
			{Path: "spec/jobTemplate/spec/template/spec/initContainers[]/image"},
		}}
		for _, res := range m.Resources() {
			if runs(res, image.Name) {
				e.matched = append(e.matched, res)
			}
		}
		if err := w.apply(k, e, m); err != nil {
			return err
		}
	}
	return nil
}

// replacements copies values from one object to others.
func (w *walk) replacements(k *kustomization, m resmap.ResMap) error {
	for i, field := range k.Replacements {
		origin, _, _ := w.reported(k, "replacements", i)
		e := entry{list: "replacements", index: i, kind: Replacement}
		all := []types.Replacement{field.Replacement}
		if field.Path != "" {
			var err error
			e.file = path.Join(k.dir, field.Path)
			if all, err = w.replacementsOf(k, field.Path); err != nil {
				return unread(origin, "the replacement", err)
			}
		}
		e.plugin = oneByOne{w: w, replacements: all, run: func(one types.Replacement) (resmap.Transformer, error) {
			return w.replacement(k, one)
		}}
		var names []string
		for _, one := range all {
			for _, target := range one.Targets {
				if target.Select != nil {
					names = append(names, selector(target.Select))
				}
			}
			found, _, err := targets(m, one.Targets)
			if err != nil {
				return asError(origin, err)
			}
			for _, res := range found {
				if !slices.Contains(e.matched, res) {
					e.matched = append(e.matched, res)
				}
			}
		}
		e.target = strings.Join(names, ", ")
		if err := w.apply(k, e, m); err != nil {
			return err
		}
	}
	return nil
}

// replacement is kustomize's own transformer for one.
func (w *walk) replacement(k *kustomization, one types.Replacement) (resmap.Transformer, error) {
	config, err := yaml.Marshal(map[string]any{"replacements": []types.ReplacementField{{Replacement: one}}})
	if err != nil {
		return nil, fmt.Errorf("read the replacement: %w", err)
	}
	plugin := &builtins.ReplacementTransformerPlugin{}
	if err := plugin.Config(w.helpers(k.dir), config); err != nil {
		return nil, fmt.Errorf("read the replacement: %w", err)
	}
	return plugin, nil
}

// replacementsOf are those of a file, which holds one or a list.
func (w *walk) replacementsOf(k *kustomization, file string) ([]types.Replacement, error) {
	content, err := (loader{w.tree, k.dir}).yaml(file)
	if err != nil {
		return nil, err
	}
	var many []types.Replacement
	if err := yaml.Unmarshal(content, &many); err != nil {
		var one types.Replacement
		if err := yaml.Unmarshal(content, &one); err != nil {
			return nil, err
		}
		many = []types.Replacement{one}
	}
	return many, nil
}

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

// suffix of the folder of a generated set.
const suffix = "-instance"

// sets are the patch sets that exist for a FluxInstance, too.
func sets() []string {
	return []string{"flux-ha", "flux-artifact-address"}
}

// patch is one entry of spec.kustomize.patches of a FluxInstance.
type patch struct {
	Patch  string          `json:"patch"`
	Target *types.Selector `json:"target,omitempty"`
}

// values is the object that a generated Component copies from.
type values struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   map[string]any    `json:"metadata"`
	Toleration map[string]any    `json:"toleration,omitempty"`
	Patches    map[string]*patch `json:"patches,omitempty"`
}

// source is a patch set as it is written by hand.
type source struct {
	dir       string
	name      string
	component types.Kustomization
}

// instanceFiles are the files of the generated form of a set, by name.
func instanceFiles(dir, name string) (map[string][]byte, error) {
	s := source{dir: filepath.Join(dir, name), name: name}
	content, err := os.ReadFile(filepath.Join(s.dir, "kustomization.yaml"))
	if err != nil {
		return nil, fmt.Errorf("reading the set: %w", err)
	}
	if err := yaml.UnmarshalStrict(content, &s.component); err != nil {
		return nil, fmt.Errorf("reading kustomization.yaml: %w", err)
	}
	names, patches, err := s.patches()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	var resources []string
	for _, resource := range s.component.Resources {
		if resource == valuesFile {
			continue
		}
		if content, err = os.ReadFile(filepath.Join(s.dir, resource)); err != nil { //nolint:gosec // a file of this repository
			return nil, fmt.Errorf("reading a resource: %w", err)
		}
		files[resource] = append([]byte(header(name)), content...)
		resources = append(resources, resource)
	}
	if files["kustomization.yaml"], err = componentOf(name, names, append(resources, valuesFile)); err != nil {
		return nil, err
	}
	if files[valuesFile], err = marshal(header(name)+"# What kustomization.yaml copies from. kustomize leaves it out of what it renders.\n", &values{
		APIVersion: "patches.mainstay.dev/v1alpha1",
		Kind:       "Values",
		Metadata: map[string]any{
			"name":        name + suffix,
			"annotations": map[string]string{"config.kubernetes.io/local-config": "true"},
		},
		Patches: patches,
	}); err != nil {
		return nil, err
	}
	return files, nil
}

const (
	valuesFile      = "values.yaml"
	tolerationsFile = "tolerations.yaml"
)

// patches are those of a set, with their names in its order. A name is that of
// the file without its ending.
func (s *source) patches() ([]string, map[string]*patch, error) {
	var names []string
	patches := map[string]*patch{}
	for i := range s.component.Patches {
		one := &s.component.Patches[i]
		if one.Path == "" || one.Target == nil {
			return nil, nil, fmt.Errorf("patch %d needs a path and a target", i)
		}
		text, err := os.ReadFile(filepath.Join(s.dir, one.Path))
		if err != nil {
			return nil, nil, fmt.Errorf("reading a patch: %w", err)
		}
		name := strings.TrimSuffix(one.Path, ".yaml")
		names = append(names, name)
		patches[name] = &patch{Patch: withoutComments(text), Target: one.Target}
	}
	switch len(s.component.Replacements) {
	case 0:
		return names, patches, nil
	case 1:
	default:
		return nil, nil, errors.New("there are replacements other than " + tolerationsFile)
	}
	tolerations, err := s.tolerations()
	if err != nil {
		return nil, nil, err
	}
	patches["tolerations"] = tolerations
	return append(names, "tolerations"), patches, nil
}

// tolerations is the patch that stands for tolerations.yaml, which a FluxInstance
// has no replacements for. A strategic merge sets the whole list, as it has no
// merge key.
func (s *source) tolerations() (*patch, error) {
	content, err := os.ReadFile(filepath.Join(s.dir, tolerationsFile))
	if err != nil {
		return nil, fmt.Errorf("reading the replacements: %w", err)
	}
	var replacements []types.Replacement
	if err := yaml.UnmarshalStrict(content, &replacements); err != nil {
		return nil, fmt.Errorf("reading %s: %w", tolerationsFile, err)
	}
	if content, err = os.ReadFile(filepath.Join(s.dir, valuesFile)); err != nil {
		return nil, fmt.Errorf("reading the values: %w", err)
	}
	var from values
	if err := yaml.UnmarshalStrict(content, &from); err != nil {
		return nil, fmt.Errorf("reading %s: %w", valuesFile, err)
	}
	keys, target, err := tolerated(replacements)
	if err != nil {
		return nil, err
	}
	list := make([]map[string]any, 0, len(keys))
	for _, key := range keys {
		toleration := map[string]any{"key": key}
		for _, r := range replacements {
			field := strings.TrimPrefix(r.Source.FieldPath, "toleration.")
			toleration[field] = from.Toleration[field]
		}
		list = append(list, toleration)
	}
	text, err := marshal("", map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "all"},
		"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"tolerations": list}}},
	})
	if err != nil {
		return nil, err
	}
	return &patch{Patch: string(text), Target: target}, nil
}

// tolerated are the taints that replacements tolerate, and of which objects.
func tolerated(replacements []types.Replacement) ([]string, *types.Selector, error) {
	const before = "spec.template.spec.tolerations.[key="
	var keys []string
	for _, path := range replacements[0].Targets[0].FieldPaths {
		key, _, found := strings.Cut(strings.TrimPrefix(path, before), "]")
		if !found || !strings.HasPrefix(path, before) {
			return nil, nil, fmt.Errorf("%s replaces %s, which is no toleration", tolerationsFile, path)
		}
		keys = append(keys, key)
	}
	return keys, replacements[0].Targets[0].Select, nil
}

func componentOf(name string, names, resources []string) ([]byte, error) {
	var replacements []map[string]any
	instance := map[string]any{"group": "fluxcd.controlplane.io", "kind": "FluxInstance"}
	for _, one := range names {
		// An entry is added under the name of the patch, which its text then
		// takes the place of: kustomize finds entries of a list by a field only.
		entry := "spec.kustomize.patches.[patch=" + name + "/" + one + "]"
		for _, field := range []string{"target", "patch"} {
			replacements = append(replacements, map[string]any{
				"source": map[string]any{"kind": "Values", "name": name + suffix, "fieldPath": "patches." + one + "." + field},
				"targets": []any{map[string]any{
					"select": instance, "fieldPaths": []string{entry + "." + field}, "options": map[string]any{"create": true},
				}},
			})
		}
	}
	about := "#\n# The patches of ../" + name + " for a FluxInstance. Include it beside the FluxInstance:\n#\n" +
		"#   resources:\n#   - flux-instance.yaml\n#   components:\n#   - <this folder>\n#\n" +
		"# They come behind patches that the FluxInstance has already.\n"
	return marshal(header(name)+about, map[string]any{
		"apiVersion": types.ComponentVersion, "kind": types.ComponentKind,
		"resources": resources, "replacements": replacements,
	})
}

func header(name string) string {
	return "# Generated from ../" + name + " by patches/generate. DO NOT EDIT.\n"
}

func marshal(head string, v any) ([]byte, error) {
	text, err := yaml.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("writing YAML: %w", err)
	}
	return append([]byte(head), text...), nil
}

// withoutComments leaves out the lines that are comments: they are for whoever
// reads the source.
func withoutComments(text []byte) string {
	var kept bytes.Buffer
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(bytes.TrimSpace(line), []byte("#")) {
			kept.Write(line)
		}
	}
	return kept.String()
}

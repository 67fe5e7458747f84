package render

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// kustomization is one kustomization with the places of its entries.
type kustomization struct {
	types.Kustomization
	dir  string
	file string
	node *yaml.Node
}

// readKustomization reads the kustomization of a folder as kustomize does.
func readKustomization(dir, file string, content []byte) (*kustomization, error) {
	k := &kustomization{dir: dir, file: file, node: parse(content)}
	if err := k.Unmarshal(content); err != nil {
		return nil, &Error{Origin: Origin{Path: file, Line: max(lineIn(err), 1)}, Err: fmt.Errorf("read the kustomization: %w", err)}
	}
	k.FixKustomization()
	if err := k.CheckEmpty(); err != nil {
		return nil, k.fail(err)
	}
	if wrong := k.EnforceFields(); len(wrong) > 0 {
		return nil, k.fail(errors.New(strings.Join(wrong, "; ")))
	}
	switch {
	case len(k.HelmCharts) > 0:
		return nil, k.fail(errors.New("charts are not rendered: Flux has HelmReleases for them"), "helmCharts")
	case len(k.HelmChartInflationGenerator) > 0:
		return nil, k.fail(errors.New("charts are not rendered: Flux has HelmReleases for them"), "helmChartInflationGenerator")
	}
	return k, nil
}

// origin is the place of a field, or of an entry of a list.
func (k *kustomization) origin(fields ...string) Origin {
	return Origin{Path: k.file, Line: lineOf(k.node, fields...)}
}

// fail puts the place of a field to an error that has none yet.
func (k *kustomization) fail(err error, fields ...string) error {
	return asError(k.origin(fields...), err)
}

// comment is the comment at an entry.
func (k *kustomization) comment(list, index string) string {
	if k.node == nil {
		return ""
	}
	seq := child(k.node, list)
	if seq == nil || seq.Kind != yaml.SequenceNode {
		return ""
	}
	return commentOf(at(seq, index))
}

// bare is the kustomization's head, for a build of some of its fields.
func (k *kustomization) bare() types.Kustomization {
	return types.Kustomization{
		TypeMeta: types.TypeMeta{APIVersion: types.KustomizationVersion, Kind: types.KustomizationKind},
		OpenAPI:  k.OpenAPI,
	}
}

// isRemote says whether kustomize would fetch what a kustomization names.
func isRemote(name string) bool {
	return regexp.MustCompile(`(?i)^(git::|gh:|github\.com[/:]|[A-Za-z][A-Za-z0-9+.-]*://|[^/@]+@[^/:]+[:/])`).MatchString(name)
}

// selector writes a patch's target the way a person would.
func selector(s *types.Selector) string {
	if s == nil {
		return ""
	}
	var parts []string
	for _, part := range []struct{ name, value string }{
		{"group", s.Group},
		{"version", s.Version},
		{"kind", s.Kind},
		{"namespace", s.Namespace},
		{"name", s.Name},
		{"labelSelector", s.LabelSelector},
		{"annotationSelector", s.AnnotationSelector},
	} {
		if part.value != "" {
			parts = append(parts, part.name+"="+part.value)
		}
	}
	return strings.Join(parts, " ")
}

//go:build e2e

package e2e

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/test/images"
)

const (
	// addedField is in the spec of every kind in the next version.
	addedField = "addedInTheNextVersion"
	// byHand is the Intervention that has it.
	byHand = "by-hand"
)

// kinds are those of Mainstay.
func kinds() []string { return []string{"ClusterRule", "Rule", "Lifeline", "Intervention"} }

func tagOf(ref string) string { return ref[strings.LastIndex(ref, ":")+1:] }

// nextVersion are the files that the next version changes: the image and the version
// label, an optional field in each CRD, and objects that have the field.
func (s *suite) nextVersion(t *testing.T) map[string][]byte {
	t.Helper()
	now, next := tagOf(s.images[images.Mainstay].Ref), tagOf(s.images[images.MainstayNext].Ref)
	const base = "manifests/base/kustomization.yaml"
	files := map[string][]byte{base: []byte(strings.ReplaceAll(string(s.projectFile(t, base)), now, next))}
	crds, err := filepath.Glob(filepath.Join(s.root, "manifests", "crd", "mainstay.dev_*.yaml"))
	if err != nil || len(crds) != len(kinds()) {
		t.Fatalf("%d CRDs, %v, want %d", len(crds), err, len(kinds()))
	}
	for _, path := range crds {
		name := filepath.Join("manifests", "crd", filepath.Base(path))
		files[name] = changeFile(t, s.projectFile(t, name), addField)
	}
	for _, name := range []string{"manifests/rules/flux-priority-class.yaml", "manifests/rules/lifeline-flux.yaml"} {
		files[name] = changeFile(t, s.projectFile(t, name), func(object map[string]any) error {
			return unstructured.SetNestedField(object, "by Flux", "spec", addedField)
		})
	}
	return files
}

// addField adds the optional field to the schema in a CRD.
func addField(crd map[string]any) error {
	versions, _, err := unstructured.NestedSlice(crd, "spec", "versions")
	if err != nil || len(versions) != 1 {
		return errors.Join(err, errors.New("the CRD has not one version"))
	}
	version, ok := versions[0].(map[string]any)
	if !ok {
		return errors.New("the version of the CRD is no object")
	}
	field := map[string]any{"type": "string", "description": "What only the next version knows."}
	if err := unstructured.SetNestedMap(version, field, "schema", "openAPIV3Schema", "properties", "spec", "properties", addedField); err != nil {
		return err
	}
	return unstructured.SetNestedSlice(crd, versions, "spec", "versions")
}

// changeFile changes the one object of a manifest.
func changeFile(t *testing.T, manifest []byte, change func(object map[string]any) error) []byte {
	t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(manifest, object); err != nil {
		t.Fatal(err)
	}
	if err := change(object.Object); err != nil {
		t.Fatal(err)
	}
	changed, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

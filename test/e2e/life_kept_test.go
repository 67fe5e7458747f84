//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// shopObjects are those of Mainstay's kinds that are for the shop.
func (s *suite) shopObjects(t *testing.T) []unstructured.Unstructured {
	t.Helper()
	var found []unstructured.Unstructured
	for _, kind := range kinds() {
		objects, err := s.objects(t.Context(), kind)
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range objects {
			if object.GetName() == shop || kind == "Intervention" && (object.GetName() == byHand || object.GetLabels()[v1alpha1.LabelOwnerNamespace] == shop) {
				found = append(found, object)
			}
		}
	}
	if len(found) < len(kinds()) {
		t.Fatalf("%d objects are for the shop, want one of each kind", len(found))
	}
	return found
}

// kept is what of an object outlives an upgrade and a roll-back.
type kept struct {
	UID    types.UID
	Labels map[string]string
	Spec   any
	// Status is that of a refused Intervention, which nobody writes any more.
	Status any
}

// kept has every object of Mainstay's kinds, without the field that the next version
// adds.
func (s *suite) kept(t *testing.T) map[string]kept {
	t.Helper()
	all := map[string]kept{}
	for _, kind := range kinds() {
		objects, err := s.objects(t.Context(), kind)
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range objects {
			unstructured.RemoveNestedField(object.Object, "spec", addedField)
			one := kept{UID: object.GetUID(), Labels: object.GetLabels(), Spec: object.Object["spec"]}
			if phase, _, _ := unstructured.NestedString(object.Object, "status", "phase"); phase == string(v1alpha1.PhaseRefused) {
				one.Status = object.Object["status"]
			}
			all[fmt.Sprintf("%s %s/%s", kind, object.GetNamespace(), object.GetName())] = one
		}
	}
	return all
}

// stays compares what was kept before with what is there now. New Interventions may
// have been made.
func stays(t *testing.T, what string, before, after map[string]kept) {
	t.Helper()
	for name := range after {
		if _, known := before[name]; !known && strings.HasPrefix(name, "Intervention ") {
			delete(after, name)
		}
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("%s lost something (-before +after):\n%s", what, diff)
	}
}

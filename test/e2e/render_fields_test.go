//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// operatorManager is the field manager that flux-operator applies with.
const operatorManager = "flux-operator"

// leftOut are the fields, by kind, that flux-operator owns and that a render need not
// have: it applies what Go writes of its types, which is an empty object for a struct
// that is not set. They say nothing, and docs/render.md names them.
func leftOut() map[string]string {
	return map[string]string{"Namespace": "f:spec", "Deployment": "f:spec/f:strategy"}
}

// ownedBy are the fields of an object that a manager has applied, as managedFields
// writes them, sorted. A list that is set as a whole is one field.
func ownedBy(object *unstructured.Unstructured, manager string) ([]string, error) {
	var out []string
	for _, entry := range object.GetManagedFields() {
		if entry.Manager != manager || entry.Operation != "Apply" || entry.Subresource != "" {
			continue
		}
		var fields map[string]any
		if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields); err != nil {
			return nil, fmt.Errorf("reading the fields of %s: %w", object.GetName(), err)
		}
		leaves("", fields, &out)
	}
	slices.Sort(out)
	return out, nil
}

func leaves(path string, fields map[string]any, out *[]string) {
	if len(fields) == 0 {
		*out = append(*out, path)
		return
	}
	for name, below := range fields {
		next := name
		if path != "" {
			next = path + "/" + name
		}
		under, _ := below.(map[string]any)
		leaves(next, under, out)
	}
}

// content is an object without what the API server and the controllers write
// themselves.
func content(object *unstructured.Unstructured) map[string]any {
	c := object.DeepCopy()
	for _, path := range [][]string{
		{"metadata", "managedFields"},
		{"metadata", "resourceVersion"},
		{"metadata", "generation"},
		{"metadata", "annotations", "deployment.kubernetes.io/revision"},
		{"status"},
	} {
		unstructured.RemoveNestedField(c.Object, path...)
	}
	return c.Object
}

package schema_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// The kinds of the group.
const (
	clusterRule  = "ClusterRule"
	rule         = "Rule"
	lifeline     = "Lifeline"
	intervention = "Intervention"
)

// unchecked is what the API server adds to its errors when the object is too
// broken for the CEL rules to be run. It says nothing about the object.
const unchecked = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"

// minimal is the smallest object of each kind that is accepted.
func minimal(t *testing.T, kind, name string) *unstructured.Unstructured {
	t.Helper()
	specs := map[string]string{
		clusterRule: minimalRule,
		rule:        minimalRule,
		lifeline:    `spec: {selector: {}}`,
		intervention: `spec:
  owner: {kind: Lifeline, namespace: flux-system, name: flux, uid: 6f2c}
  action: Evict
  target: {apiVersion: v1, kind: Pod, namespace: flux-system, name: source-controller-1, uid: 81aa}
  attempt: 1
  holder: mainstay-1
  reason: all members are on worker-1`,
	}
	obj := &unstructured.Unstructured{Object: parse(t, specs[kind])}
	obj.SetAPIVersion(v1alpha1.GroupVersion.String())
	obj.SetKind(kind)
	obj.SetName(name)
	if kind != clusterRule {
		obj.SetNamespace(env.namespace)
	}
	return obj
}

const minimalRule = `spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
  validations: [{expression: "true"}]`

// with returns a copy of the object with a change in YAML merged into it: objects
// field by field, everything else replaced, null removed.
func with(t *testing.T, obj *unstructured.Unstructured, change string) *unstructured.Unstructured {
	t.Helper()
	changed := obj.DeepCopy()
	merge(changed.Object, parse(t, change))
	return changed
}

func merge(into, from map[string]any) {
	for key, value := range from {
		if value == nil {
			delete(into, key)
			continue
		}
		if fields, ok := value.(map[string]any); ok {
			if old, ok := into[key].(map[string]any); ok {
				merge(old, fields)
				continue
			}
		}
		into[key] = value
	}
}

func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	// This decoder keeps whole numbers whole, as unstructured objects need them.
	var obj map[string]any
	if err := utiljson.Unmarshal(raw, &obj); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return obj
}

// resource is the client for the objects of a kind.
func resource(kind string) dynamic.ResourceInterface {
	plural := schema.GroupVersionResource{
		Group: v1alpha1.GroupVersion.Group, Version: v1alpha1.GroupVersion.Version,
		Resource: strings.ToLower(kind) + "s",
	}
	if kind == clusterRule {
		return env.dynamic.Resource(plural)
	}
	return env.dynamic.Resource(plural).Namespace(env.namespace)
}

// tryCreate sends an object that is then not kept, and returns it as it would have
// been, with its defaults.
func tryCreate(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	return resource(obj.GetKind()).Create(ctx, obj, metav1.CreateOptions{
		DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict,
	})
}

// create makes an object that lives until the test ends.
func create(t *testing.T, obj *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	created, err := resource(obj.GetKind()).Create(t.Context(), obj, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	if err != nil {
		t.Fatalf("creating %s %s: %v", obj.GetKind(), obj.GetName(), err)
	}
	t.Cleanup(func() {
		err := resource(obj.GetKind()).Delete(context.WithoutCancel(t.Context()), obj.GetName(), metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("deleting %s %s: %v", obj.GetKind(), obj.GetName(), err)
		}
	})
	return created
}

// complaints are the field errors of a rejected object, sorted, one a
// line, and "" when there was no error.
func complaints(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var status *apierrors.StatusError
	if !errors.As(err, &status) || status.ErrStatus.Details == nil || !apierrors.IsInvalid(err) {
		t.Fatalf("not a rejection by the schema: %v", err)
	}
	var lines []string
	for _, cause := range status.ErrStatus.Details.Causes {
		if strings.Contains(cause.Message, unchecked) {
			continue
		}
		lines = append(lines, cause.Field+": "+cause.Message)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// long is a text of n letters.
func long(n int) string { return strings.Repeat("a", n) }

// times is a YAML list of n entries, where each %d is the entry's index.
func times(n int, entry string) string {
	entries := make([]string, n)
	for i := range entries {
		entries[i] = strings.ReplaceAll(entry, "%d", strconv.Itoa(i))
	}
	return "[" + strings.Join(entries, ", ") + "]"
}

// nested is a YAML object with the value at a path of field names.
func nested(path, value string) string {
	fields := strings.Split(path, ".")
	return `{` + strings.Join(fields, `: {`) + `: ` + value + strings.Repeat(`}`, len(fields))
}

package builders

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Unstructured is an object as a dynamic client reads it from an API server.
func Unstructured(tb testing.TB, obj runtime.Object) *unstructured.Unstructured {
	tb.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		tb.Fatalf("converting a %T: %v", obj, err)
	}
	return &unstructured.Unstructured{Object: content}
}

// Objects are those of multi-document YAML.
func Objects(tb testing.TB, text []byte) []*unstructured.Unstructured {
	tb.Helper()
	var all []*unstructured.Unstructured
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			tb.Fatal(err)
		}
		json, err := yaml.YAMLToJSON(document)
		if err != nil {
			tb.Fatal(err)
		}
		if string(json) == "null" {
			continue
		}
		obj := &unstructured.Unstructured{}
		if err := obj.UnmarshalJSON(json); err != nil {
			tb.Fatal(err)
		}
		all = append(all, obj)
	}
}

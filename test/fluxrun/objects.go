package fluxrun

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/test/images"
)

// decode reads multi-document YAML.
func decode(text []byte) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the manifests: %w", err)
		}
		text, err := yaml.YAMLToJSON(document)
		if err != nil {
			return nil, fmt.Errorf("reading the manifests: %w", err)
		}
		if string(text) == "null" {
			continue
		}
		obj := &unstructured.Unstructured{}
		if err := obj.UnmarshalJSON(text); err != nil {
			return nil, fmt.Errorf("reading the manifests: %w", err)
		}
		all = append(all, obj)
	}
}

// neverPull has the containers of a Deployment take the image that the worker has.
func neverPull(container map[string]any) {
	container["imagePullPolicy"] = string(corev1.PullIfNotPresent)
}

// fips turns FIPS 140-3 mode on. flux-operator ends at once without it; its published
// image is built with GOFIPS140, which makes it the default of the program.
func fips(container map[string]any) {
	env, _ := container["env"].([]any)
	container["env"] = append(env, map[string]any{"name": "GODEBUG", "value": "fips140=on"})
}

// changeContainers changes each container of a Deployment, and nothing of other objects.
func changeContainers(obj *unstructured.Unstructured, changes ...func(container map[string]any)) error {
	if obj.GetKind() != "Deployment" {
		return nil
	}
	path := []string{"spec", "template", "spec", "containers"}
	containers, _, err := unstructured.NestedSlice(obj.Object, path...)
	if err != nil {
		return fmt.Errorf("reading the containers of %s: %w", describe(obj), err)
	}
	for i := range containers {
		container, ok := containers[i].(map[string]any)
		if !ok {
			return fmt.Errorf("reading the containers of %s: one is a %T", describe(obj), containers[i])
		}
		for _, change := range changes {
			change(container)
		}
	}
	if err := unstructured.SetNestedSlice(obj.Object, containers, path...); err != nil {
		return fmt.Errorf("changing the containers of %s: %w", describe(obj), err)
	}
	return nil
}

// fluxInstance is the one that flux-operator installs the controllers from. Without
// an artifact it uses the distribution in its own image.
func fluxInstance(opts Options) (*unstructured.Unstructured, error) {
	spec := map[string]any{
		"distribution": map[string]any{"version": "2.9.x", "registry": images.DistributionRegistry},
		"components":   opts.Controllers,
		"cluster":      map[string]any{"type": "kubernetes", "domain": "cluster.local"},
	}
	if len(opts.Patches) > 0 {
		spec["kustomize"] = map[string]any{"patches": opts.Patches}
	}
	return object(map[string]any{
		"apiVersion": "fluxcd.controlplane.io/v1",
		"kind":       "FluxInstance",
		"metadata":   map[string]any{"name": "flux", "namespace": opts.Namespace},
		"spec":       spec,
	})
}

// object makes an unstructured object of anything that can be written as JSON.
func object(content any) (*unstructured.Unstructured, error) {
	text, err := json.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("writing an object of Flux: %w", err)
	}
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON(text); err != nil {
		return nil, fmt.Errorf("reading an object of Flux: %w", err)
	}
	return obj, nil
}

// into reads an unstructured object into its Go type.
func into(obj *unstructured.Unstructured, target any) error {
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, target); err != nil {
		return fmt.Errorf("reading %s: %w", describe(obj), err)
	}
	return nil
}

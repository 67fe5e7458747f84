package fluxrun

import (
	"context"
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const kindCRD = "CustomResourceDefinition"

// applyAll applies objects in the order that they need each other: namespaces and
// CRDs, then, once the CRDs are served, the rest.
func (f *Flux) applyAll(ctx context.Context, objects []*unstructured.Unstructured) error {
	var first, crds, rest []*unstructured.Unstructured
	for _, obj := range objects {
		switch obj.GetKind() {
		case "Namespace":
			first = append(first, obj)
		case kindCRD:
			crds = append(crds, obj)
		default:
			rest = append(rest, obj)
		}
	}
	for _, obj := range append(first, crds...) {
		if err := f.apply(ctx, obj); err != nil {
			return err
		}
	}
	for _, crd := range crds {
		if err := f.awaitEstablished(ctx, crd); err != nil {
			return err
		}
	}
	for _, obj := range rest {
		if err := f.apply(ctx, obj); err != nil {
			return err
		}
	}
	return nil
}

// apply applies an object on the server's side.
func (f *Flux) apply(ctx context.Context, obj *unstructured.Unstructured) error {
	err := f.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(obj.DeepCopy()), fieldOwner, client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("applying %s: %w", describe(obj), err)
	}
	return nil
}

func (f *Flux) awaitEstablished(ctx context.Context, crd *unstructured.Unstructured) error {
	return await(ctx, describe(crd)+" to be served", func(ctx context.Context) error {
		current, err := f.get(ctx, crd)
		if err != nil {
			return err
		}
		return condition(current, string(apiextensionsv1.Established))
	})
}

// get reads the object of that kind and name.
func (f *Flux) get(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	current := &unstructured.Unstructured{}
	current.SetGroupVersionKind(obj.GroupVersionKind())
	if err := f.client.Get(ctx, client.ObjectKeyFromObject(obj), current); err != nil {
		return nil, fmt.Errorf("reading %s: %w", describe(obj), err)
	}
	return current, nil
}

//go:build e2e

package e2e

import (
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
	kustypes "sigs.k8s.io/kustomize/api/types"

	"github.com/mainstay-dev/mainstay/test/fluxrun"
)

const (
	addedArgument = "--concurrent=3"
	// standby and argument are inner patches like those of a user: one by merge, with
	// names, one by operations, with a label.
	standby = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: kustomize-controller
spec:
  replicas: 2
`
	argument = `- op: add
  path: /spec/template/spec/containers/0/args/-
  value: ` + addedArgument + `
`
)

// TestFluxInstance has the real flux-operator install Flux from a FluxInstance, and
// looks for what its inner patches say in what runs.
func TestFluxInstance(t *testing.T) {
	deployments := kustypes.Selector{LabelSelector: "app.kubernetes.io/part-of=flux"}
	deployments.Kind = "Deployment"
	kustomize := kustypes.Selector{}
	kustomize.Kind, kustomize.Name = "Deployment", "kustomize-controller"
	s := start(t, fluxrun.Options{Operator: true, Patches: []kustypes.Patch{
		{Patch: standby, Target: &kustomize},
		{Patch: argument, Target: &deployments},
	}})
	ctx := t.Context()

	instance, err := get(ctx, s.client, "fluxcd.controlplane.io/v1", "FluxInstance", fluxNamespace, "flux")
	if err != nil {
		t.Fatal(err)
	}
	if status, reason, message := condition(instance, "Ready"); status != "True" {
		t.Errorf("the FluxInstance says Ready=%s, %s: %s", status, reason, message)
	}
	for name, replicas := range map[string]int32{"source-controller": 1, "kustomize-controller": 2, "helm-controller": 1} {
		var d appsv1.Deployment
		if err := s.client.Get(ctx, types.NamespacedName{Namespace: fluxNamespace, Name: name}, &d); err != nil {
			t.Fatal(err)
		}
		if *d.Spec.Replicas != replicas || d.Status.AvailableReplicas != replicas {
			t.Errorf("%s has %d of %d replicas available, want %d", name, d.Status.AvailableReplicas, *d.Spec.Replicas, replicas)
		}
		args := d.Spec.Template.Spec.Containers[0].Args
		if !slices.Contains(args, addedArgument) {
			t.Errorf("%s runs with %v, which lacks %s", name, args, addedArgument)
		}
	}
	s.commit(t, "by flux-operator")
	s.awaitLive(t, "by flux-operator", time.Minute)
}

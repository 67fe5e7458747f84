//go:build e2e

package e2e

import (
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	kustypes "sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/cluster/tools"
	"github.com/mainstay-dev/mainstay/test/fluxgen"
	"github.com/mainstay-dev/mainstay/test/fluxrun"
)

// instance is a FluxInstance as it is in a user's repository, with an inner patch of
// the user's own.
const (
	userArgument = "--concurrent=3"
	instance     = `apiVersion: fluxcd.controlplane.io/v1
kind: FluxInstance
metadata:
  name: flux
  namespace: flux-system
spec:
  kustomize:
    patches:
    - target:
        kind: Deployment
        labelSelector: app.kubernetes.io/part-of=flux
      patch: |
        - op: add
          path: /spec/template/spec/containers/0/args/-
          value: ` + userArgument + `
`
)

// TestFluxInstance has the real flux-operator install Flux from a FluxInstance with
// the patches that are shipped for one, and looks for them in what runs.
func TestFluxInstance(t *testing.T) {
	t.Parallel()
	s := start(t, fluxrun.Options{Operator: true, Patches: innerPatches(t)})
	ctx := t.Context()

	instance, err := get(ctx, s.client, "fluxcd.controlplane.io/v1", "FluxInstance", fluxNamespace, "flux")
	if err != nil {
		t.Fatal(err)
	}
	if status, reason, message := condition(instance, "Ready"); status != "True" {
		t.Errorf("the FluxInstance says Ready=%s, %s: %s", status, reason, message)
	}
	replicas := map[string]int32{"source-controller": 1, "kustomize-controller": 2, "helm-controller": 2, "notification-controller": 2}
	var deployments appsv1.DeploymentList
	if err := s.client.List(ctx, &deployments, client.InNamespace(fluxNamespace), client.MatchingLabels{"app.kubernetes.io/part-of": "flux"}); err != nil {
		t.Fatal(err)
	}
	if len(deployments.Items) != len(replicas) {
		t.Errorf("%d Deployments of Flux, want %d", len(deployments.Items), len(replicas))
	}
	for i := range deployments.Items {
		d := &deployments.Items[i]
		want := replicas[d.Name]
		if *d.Spec.Replicas != want || d.Status.AvailableReplicas != want {
			t.Errorf("%s has %d of %d replicas available, want %d", d.Name, d.Status.AvailableReplicas, *d.Spec.Replicas, want)
		}
		spec := d.Spec.Template.Spec
		for _, arg := range []string{userArgument, "--leader-election-lease-duration=15s"} {
			if !slices.Contains(spec.Containers[0].Args, arg) {
				t.Errorf("%s runs with %v, which lacks %s", d.Name, spec.Containers[0].Args, arg)
			}
		}
		if len(spec.TopologySpreadConstraints) != 1 || len(spec.Tolerations) != 2 {
			t.Errorf("%s has spread %v and tolerations %v, want one and two", d.Name, spec.TopologySpreadConstraints, spec.Tolerations)
		}
	}
	var operator appsv1.Deployment
	if err := s.client.Get(ctx, types.NamespacedName{Namespace: fluxNamespace, Name: "flux-operator"}, &operator); err != nil {
		t.Fatal(err)
	}
	if operator.Status.AvailableReplicas != 1 {
		t.Errorf("flux-operator has %d replicas available, want 1: the patches for Flux leave it alone", operator.Status.AvailableReplicas)
	}
	s.commit(t, "by flux-operator")
	s.awaitLive(t, "by flux-operator", time.Minute)
}

// innerPatches are those that the FluxInstance has with patches/flux-ha-instance.
func innerPatches(t *testing.T) []kustypes.Patch {
	t.Helper()
	root, err := tools.Root()
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := fluxgen.WithPatches(root, []byte(instance), "patches/flux-ha-instance")
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range builders.Objects(t, rendered) {
		if object.GetKind() != "FluxInstance" {
			continue
		}
		text, err := object.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var fluxInstance struct {
			Spec struct {
				Kustomize struct {
					Patches []kustypes.Patch `json:"patches"`
				} `json:"kustomize"`
			} `json:"spec"`
		}
		if err := yaml.Unmarshal(text, &fluxInstance); err != nil {
			t.Fatal(err)
		}
		return fluxInstance.Spec.Kustomize.Patches
	}
	t.Fatal("no FluxInstance was rendered")
	return nil
}

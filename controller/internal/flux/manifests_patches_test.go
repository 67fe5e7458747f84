package flux_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fluxcd/flux2/v2/pkg/manifestgen/kustomization"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/fluxgen"
)

const fluxInstance = `
apiVersion: fluxcd.controlplane.io/v1
kind: FluxInstance
metadata: {name: flux, namespace: flux-system}
spec:
  distribution: {version: 2.9.x, registry: ghcr.io/fluxcd}
`

func TestBothFormsOfThePatchesGiveTheSame(t *testing.T) {
	t.Parallel()
	stock, err := fluxgen.Manifests(t.Context(), fluxgen.Options{Root: repository, Components: everyComponent})
	if err != nil {
		t.Fatal(err)
	}
	for name, sets := range map[string][]string{
		"flux-ha":                       {"patches/flux-ha"},
		"flux-artifact-address":         {"patches/flux-artifact-address"},
		"flux-ha and artifact address":  {"patches/flux-ha", "patches/flux-artifact-address"},
		"flux-ha last, other set first": {"patches/flux-artifact-address", "patches/flux-ha"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := byName(t, withPatches(t, stock, sets...))
			var ofInstance []string
			for _, set := range sets {
				ofInstance = append(ofInstance, set+"-instance")
			}
			rendered := builders.Objects(t, withPatches(t, []byte(fluxInstance), ofInstance...))
			got := byName(t, applyInner(t, stock, find(t, rendered, "FluxInstance", "flux")))
			// What a FluxInstance cannot add is beside it.
			for _, obj := range rendered {
				if obj.GetKind() != "FluxInstance" {
					got[obj.GetKind()+"/"+obj.GetName()] = obj.Object
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the Component and the FluxInstance differ (-Component +FluxInstance):\n%s", diff)
			}
			if cmp.Equal(byName(t, stock), got) {
				t.Error("the patches change nothing")
			}
		})
	}
}

func TestInstancePatchesComeBehindThoseThatAreThere(t *testing.T) {
	t.Parallel()
	const theirs = fluxInstance + `
  kustomize:
    patches:
    - target: {kind: Deployment, name: kustomize-controller}
      patch: |
        - op: add
          path: /spec/template/spec/containers/0/args/-
          value: --concurrent=20
`
	rendered := builders.Objects(t, withPatches(t, []byte(theirs), "patches/flux-ha-instance"))
	patches, _, err := unstructured.NestedSlice(find(t, rendered, "FluxInstance", "flux").Object, "spec", "kustomize", "patches")
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, one := range patches {
		target, _, _ := unstructured.NestedString(one.(map[string]any), "target", "name")
		text, _, _ := unstructured.NestedString(one.(map[string]any), "patch")
		targets = append(targets, target)
		if text == "" || strings.HasPrefix(text, "flux-ha/") {
			t.Errorf("a patch without a text: %v", one)
		}
	}
	want := []string{
		"kustomize-controller", "",
		"(kustomize|helm|notification|image-reflector|image-automation)-controller(-.+)?",
		"source-(controller|watcher)(-.+)?",
		"((source|kustomize|helm|notification|image-reflector|image-automation)-controller|source-watcher)(-.+)?", "", "",
	}
	if diff := cmp.Diff(want, targets); diff != "" {
		t.Errorf("names that the patches of the FluxInstance target (-want +got):\n%s", diff)
	}
}

func TestArtifactAddressIsOfTheServiceOfSourceControllerAlone(t *testing.T) {
	t.Parallel()
	stock, err := fluxgen.Manifests(t.Context(), fluxgen.Options{Root: repository, Components: everyComponent})
	if err != nil {
		t.Fatal(err)
	}
	const want = "--storage-adv-addr=$(SOURCE_CONTROLLER_SERVICE_HOST)"
	all := builders.Objects(t, withPatches(t, stock, "patches/flux-artifact-address"))
	find(t, all, "Service", "source-controller")
	for _, name := range everyComponent {
		var deployment appsv1.Deployment
		convert(t, find(t, all, "Deployment", name), &deployment)
		pod := deployment.Spec.Template.Spec
		if got := slices.Contains(pod.Containers[0].Args, want); got != (name == "source-controller") {
			t.Errorf("%s has the argument: %t", name, got)
		}
		// Without service links there is no such variable.
		if pod.EnableServiceLinks != nil && !*pod.EnableServiceLinks {
			t.Errorf("%s has no service links", name)
		}
	}
}

func TestFluxOperatorPatchMeetsItsRule(t *testing.T) {
	t.Parallel()
	const operator = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: flux-operator
  namespace: flux-system
  labels: {app.kubernetes.io/name: flux-operator}
spec:
  replicas: 1
  selector: {matchLabels: {app.kubernetes.io/name: flux-operator}}
  template:
    metadata: {labels: {app.kubernetes.io/name: flux-operator}}
    spec:
      affinity:
        nodeAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/os, operator: In, values: [linux]}]}]
      containers: [{name: manager, image: x, resources: {requests: {memory: 64Mi}}}]
`
	const rule = "flux-operator-outlives-a-worker"
	pack := rulePack(t)
	if got := audit(t, pack, builders.Objects(t, []byte(operator)))[rule]["flux-operator"]; got.Outcome != v1alpha1.OutcomeFail {
		t.Errorf("%s before the patch: %s: %s, want %s", rule, got.Outcome, got.Message, v1alpha1.OutcomeFail)
	}
	patched := builders.Objects(t, withPatches(t, []byte(operator), "patches/flux-operator"))
	if got := audit(t, pack, patched)[rule]["flux-operator"]; got.Outcome != v1alpha1.OutcomePass {
		t.Errorf("%s after the patch: %s: %s, want %s", rule, got.Outcome, got.Message, v1alpha1.OutcomePass)
	}
	var deployment appsv1.Deployment
	convert(t, find(t, patched, "Deployment", "flux-operator"), &deployment)
	if deployment.Spec.Template.Spec.Affinity.NodeAffinity == nil {
		t.Error("the patch takes the node affinity away")
	}
	find(t, patched, "ResourceQuota", "critical-pods-flux-operator")
}

func withPatches(t *testing.T, manifests []byte, sets ...string) []byte {
	t.Helper()
	out, err := fluxgen.WithPatches(repository, manifests, sets...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// applyInner renders manifests with spec.kustomize.patches of a FluxInstance, which
// are entries of a kustomization.
func applyInner(t *testing.T, manifests []byte, instance *unstructured.Unstructured) []byte {
	t.Helper()
	patches, _, err := unstructured.NestedSlice(instance.Object, "spec", "kustomize", "patches")
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
		"resources": []string{"flux.yaml"}, "patches": patches,
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{"flux.yaml": manifests, "kustomization.yaml": text} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := kustomization.BuildWithRoot(dir, dir)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// byName are the objects of multi-document YAML by kind and name.
func byName(t *testing.T, text []byte) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{}
	for _, obj := range builders.Objects(t, text) {
		all[obj.GetKind()+"/"+obj.GetName()] = obj.Object
	}
	return all
}

package fluxgen

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/mainstay-dev/mainstay/test/builders"
)

func TestOperator(t *testing.T) {
	t.Parallel()
	text, err := Operator(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var crds, others []string
	for _, obj := range builders.Objects(t, text) {
		switch obj.GetKind() {
		case "CustomResourceDefinition":
			crds = append(crds, obj.GetName())
			continue
		case "Namespace":
			if obj.GetName() != "flux-system" {
				t.Errorf("namespace = %s, want flux-system", obj.GetName())
			}
		case "Deployment":
			var deployment appsv1.Deployment
			convert(t, obj, &deployment)
			container := deployment.Spec.Template.Spec.Containers[0]
			if deployment.Namespace != "flux-system" || container.ImagePullPolicy != corev1.PullIfNotPresent {
				t.Errorf("deployment is in %s and pulls %s, want flux-system and IfNotPresent", deployment.Namespace, container.ImagePullPolicy)
			}
		case "ClusterRoleBinding":
			var binding rbacv1.ClusterRoleBinding
			convert(t, obj, &binding)
			if got := binding.Subjects[0].Namespace; got != "flux-system" {
				t.Errorf("%s binds a service account in %s, want flux-system", binding.Name, got)
			}
		}
		others = append(others, obj.GetKind())
	}
	slices.Sort(crds)
	wantCRDs := []string{
		"fluxinstances.fluxcd.controlplane.io", "fluxreports.fluxcd.controlplane.io",
		"resourcesetinputproviders.fluxcd.controlplane.io", "resourcesets.fluxcd.controlplane.io",
	}
	if diff := cmp.Diff(wantCRDs, crds); diff != "" {
		t.Errorf("CRDs (-want +got):\n%s", diff)
	}
	for _, kind := range []string{"Namespace", "Deployment", "ServiceAccount", "Service", "ClusterRoleBinding"} {
		if !slices.Contains(others, kind) {
			t.Errorf("there is no %s: %v", kind, others)
		}
	}
}

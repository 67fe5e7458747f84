//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/e2e/gitops"
)

// shop is the namespace, and the name of each object, in testdata/life/shop.yaml. An
// active rule matches its Deployments, and it is none of the recovery path.
const shop = "shop"

// use has an object of every kind of Mainstay that is not Flux's, and not of Git.
func (s *suite) use(t *testing.T) {
	t.Helper()
	if out, err := s.cluster.Kubectl(t.Context(), "apply", "--server-side", "-f", "testdata/life/shop.yaml"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.mainstayRuns(t)
	eventually(t, time.Minute, "the Lifeline of the shop has an Intervention", func(ctx context.Context) (bool, string) {
		found, err := s.intervention(ctx)
		if err != nil {
			return false, err.Error()
		}
		return found.Status.Phase == v1alpha1.PhaseRefused, fmt.Sprintf("%s: %s", found.Name, found.Status.Phase)
	})
}

// intervention is the one of the shop's Lifeline.
func (s *suite) intervention(ctx context.Context) (*v1alpha1.Intervention, error) {
	var list v1alpha1.InterventionList
	if err := s.client.List(ctx, &list, client.InNamespace(gitops.Namespace), client.MatchingLabels{v1alpha1.LabelOwnerNamespace: shop}); err != nil {
		return nil, err
	}
	if len(list.Items) != 1 {
		return nil, fmt.Errorf("%d Interventions, want 1", len(list.Items))
	}
	return &list.Items[0], nil
}

// deploymentRuns makes a new Deployment in the shop, of which an active rule of the
// shop disapproves, waits until its pod runs, and deletes it.
func (s *suite) deploymentRuns(t *testing.T) {
	t.Helper()
	var deployment appsv1.Deployment
	if err := s.client.Get(t.Context(), client.ObjectKey{Namespace: shop, Name: shop}, &deployment); err != nil {
		t.Fatal(err)
	}
	object := appsv1.Deployment{Spec: *deployment.Spec.DeepCopy()}
	object.Namespace, object.GenerateName = shop, "new-"
	object.Spec.Replicas = new(int32(1))
	object.Spec.Selector.MatchLabels = map[string]string{"app": "new"}
	object.Spec.Template.Labels = map[string]string{"app": "new"}
	object.Spec.Template.Spec.Affinity = nil
	if err := s.client.Create(t.Context(), &object); err != nil {
		t.Fatalf("creating a Deployment: %v", err)
	}
	eventually(t, 30*time.Second, "the pod of a new Deployment runs", func(ctx context.Context) (bool, string) {
		if err := s.client.Get(ctx, client.ObjectKeyFromObject(&object), &object); err != nil {
			return false, err.Error()
		}
		return object.Status.AvailableReplicas == 1, fmt.Sprintf("%d pods are available", object.Status.AvailableReplicas)
	})
	if err := s.client.Delete(t.Context(), &object, client.PropagationPolicy("Background")); err != nil {
		t.Fatal(err)
	}
}

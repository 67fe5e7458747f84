package webhook

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/gate"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/status"
)

// pause is how long what the API server refused, or another manager owns, is
// left alone.
const pause = 5 * time.Minute

// apply writes the entries where the cache has others. It returns why they cannot
// be what they should.
func (r *Reconciler) apply(ctx context.Context, live *admissionregistrationv1.ValidatingWebhookConfiguration,
	wanted []admissionregistrationv1.ValidatingWebhook,
) (*policy.Refusal, error) {
	owner, err := r.owner(ctx)
	if err != nil {
		return nil, err
	}
	want := &admissionregistrationv1.ValidatingWebhookConfiguration{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionregistrationv1.SchemeGroupVersion.String(), Kind: "ValidatingWebhookConfiguration"},
		// The UID keeps an object that was deleted meanwhile from being made again.
		ObjectMeta: metav1.ObjectMeta{Name: gate.ConfigurationName, UID: live.UID, OwnerReferences: []metav1.OwnerReference{owner}},
		Webhooks:   wanted,
	}
	if same(live, want) {
		return nil, nil //nolint:nilnil // neither refused nor failed
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(want)
	if err != nil {
		return nil, fmt.Errorf("convert ValidatingWebhookConfiguration %s: %w", want.Name, err)
	}
	applied := &unstructured.Unstructured{Object: content}
	err = r.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(applied), client.FieldOwner(status.FieldManager))
	switch {
	case apierrors.IsConflict(err) && strings.Contains(err.Error(), "uid"):
		return nil, nil //nolint:nilnil // it is gone, or another one: its event comes
	case apierrors.IsConflict(err):
		return r.conflict(err.Error()), nil
	case apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsRequestEntityTooLargeError(err):
		return &policy.Refusal{Reason: v1alpha1.ReasonRejected, Message: fmt.Sprintf("the API server refuses ValidatingWebhookConfiguration %s: %v", want.Name, err)}, nil
	case apierrors.IsForbidden(err):
		return &policy.Refusal{Reason: v1alpha1.ReasonForbidden, Message: fmt.Sprintf("Mainstay may not write ValidatingWebhookConfiguration %s: %v", want.Name, err)}, nil
	case err != nil:
		return nil, fmt.Errorf("apply ValidatingWebhookConfiguration %s: %w", want.Name, err)
	}
	var now admissionregistrationv1.ValidatingWebhookConfiguration
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(applied.Object, &now); err != nil {
		return nil, fmt.Errorf("read the API server's answer about ValidatingWebhookConfiguration %s: %w", want.Name, err)
	}
	if !same(&now, want) {
		return r.conflict("it also has what somebody else set"), nil
	}
	return nil, nil //nolint:nilnil // neither refused nor failed
}

func (r *Reconciler) conflict(why string) *policy.Refusal {
	r.Metrics.Conflicts.WithLabelValues("ValidatingWebhookConfiguration").Inc()
	return &policy.Refusal{Reason: v1alpha1.ReasonConflict, Message: fmt.Sprintf(
		"ValidatingWebhookConfiguration %[1]s is not what the rules say: %[2]s. To have it written anew: kubectl patch validatingwebhookconfiguration %[1]s --type=merge -p '{\"webhooks\":[]}'",
		gate.ConfigurationName, why)}
}

// same says whether the API server has what it should.
func same(live, want *admissionregistrationv1.ValidatingWebhookConfiguration) bool {
	if !slices.ContainsFunc(live.OwnerReferences, func(have metav1.OwnerReference) bool {
		return equality.Semantic.DeepEqual(have, want.OwnerReferences[0])
	}) {
		return false
	}
	byName := func(a, b admissionregistrationv1.ValidatingWebhook) int { return strings.Compare(a.Name, b.Name) }
	return equality.Semantic.DeepEqual(slices.SortedFunc(slices.Values(live.Webhooks), byName), slices.SortedFunc(slices.Values(want.Webhooks), byName))
}

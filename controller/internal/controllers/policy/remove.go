package policy

import (
	"context"
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// keepOnly deletes the objects of a rule that it does not have any more, the
// bindings first: a policy that is bound to nothing does nothing.
func (r *Reconciler) keepOnly(ctx context.Context, key rule.Key, objects *policy.Objects) error {
	keep := map[string]bool{}
	if objects != nil {
		for _, obj := range objects.Policies {
			keep[obj.Kind+obj.Name] = true
		}
		for _, obj := range objects.Bindings {
			keep[obj.Kind+obj.Name] = true
		}
	}
	var bindings admissionregistrationv1.ValidatingAdmissionPolicyBindingList
	if err := r.Client.List(ctx, &bindings, client.MatchingLabels(policy.LabelsOf(key))); err != nil {
		return fmt.Errorf("list the bindings of %s: %w", key, err)
	}
	var policies admissionregistrationv1.ValidatingAdmissionPolicyList
	if err := r.Client.List(ctx, &policies, client.MatchingLabels(policy.LabelsOf(key))); err != nil {
		return fmt.Errorf("list the policies of %s: %w", key, err)
	}
	for i := range bindings.Items {
		if obj := &bindings.Items[i]; !keep["ValidatingAdmissionPolicyBinding"+obj.Name] {
			if err := r.delete(ctx, key, obj); err != nil {
				return err
			}
		}
	}
	for i := range policies.Items {
		if obj := &policies.Items[i]; !keep["ValidatingAdmissionPolicy"+obj.Name] {
			if err := r.delete(ctx, key, obj); err != nil {
				return err
			}
		}
	}
	return nil
}

// delete removes an object if it is one of the rule's.
func (r *Reconciler) delete(ctx context.Context, key rule.Key, obj client.Object) error {
	if owner, ok := policy.KeyOf(obj.GetAnnotations()[v1alpha1.AnnotationRule]); !ok || owner != key {
		return nil
	}
	uid := obj.GetUID()
	err := r.Client.Delete(ctx, obj, client.Preconditions{UID: &uid})
	if client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete %T %s, which %s does not have any more: %w", obj, obj.GetName(), key, err)
	}
	return nil
}

package policy

import (
	"context"
	"fmt"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// left are the objects of a rule that the cache has and the rule does not have any more, the
// bindings first: a policy that is bound to nothing does nothing.
func (r *Reconciler) left(ctx context.Context, key rule.Key, wanted *policy.Objects) ([]client.Object, error) {
	keep := map[string]bool{}
	for _, obj := range wanted.Policies {
		keep[obj.Kind+obj.Name] = true
	}
	for _, obj := range wanted.Bindings {
		keep[obj.Kind+obj.Name] = true
	}
	objects, err := r.objectsOf(ctx, key)
	return slices.DeleteFunc(objects, func(obj client.Object) bool { return keep[kindOf(obj)+obj.GetName()] }), err
}

// removeAll deletes what the cache has of a rule.
func (r *Reconciler) removeAll(ctx context.Context, key rule.Key) error {
	objects, err := r.objectsOf(ctx, key)
	if err != nil {
		return err
	}
	return r.remove(ctx, key, objects)
}

// remove deletes objects of a rule, in their order.
func (r *Reconciler) remove(ctx context.Context, key rule.Key, objects []client.Object) error {
	for _, obj := range objects {
		if err := r.delete(ctx, obj, key); err != nil {
			return err
		}
	}
	return nil
}

func kindOf(obj client.Object) string {
	if _, ok := obj.(*admissionregistrationv1.ValidatingAdmissionPolicy); ok {
		return "ValidatingAdmissionPolicy"
	}
	return "ValidatingAdmissionPolicyBinding"
}

// objectsOf are what the cache has of a rule, the bindings first.
func (r *Reconciler) objectsOf(ctx context.Context, key rule.Key) ([]client.Object, error) {
	var bindings admissionregistrationv1.ValidatingAdmissionPolicyBindingList
	if err := r.Client.List(ctx, &bindings, client.MatchingLabels(policy.LabelsOf(key))); err != nil {
		return nil, fmt.Errorf("list the bindings of %s: %w", key, err)
	}
	var policies admissionregistrationv1.ValidatingAdmissionPolicyList
	if err := r.Client.List(ctx, &policies, client.MatchingLabels(policy.LabelsOf(key))); err != nil {
		return nil, fmt.Errorf("list the policies of %s: %w", key, err)
	}
	var out []client.Object
	take := func(obj client.Object) {
		// Labels are cut where a name is long: other rules may have the same.
		if owner, ok := policy.KeyOf(obj.GetAnnotations()[v1alpha1.AnnotationRule]); ok && owner == key {
			out = append(out, obj)
		}
	}
	for i := range bindings.Items {
		take(&bindings.Items[i])
	}
	for i := range policies.Items {
		take(&policies.Items[i])
	}
	return out, nil
}

// delete removes an object of a rule.
func (r *Reconciler) delete(ctx context.Context, obj client.Object, key rule.Key) error {
	uid := obj.GetUID()
	err := r.Client.Delete(ctx, obj, client.Preconditions{UID: &uid})
	if client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete %s %s, which %s does not have any more: %w", kindOf(obj), obj.GetName(), key, err)
	}
	return nil
}

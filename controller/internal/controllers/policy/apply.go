package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/status"
)

// apply writes what differs: a policy before its bindings, because a binding
// without its policy does nothing, but a binding that stops denying before its
// policy, so that no request is denied by what only warns. It returns the policies
// as the API server has them, or why one cannot be what it should.
func (r *Reconciler) apply(ctx context.Context, objects *policy.Objects) ([]*admissionregistrationv1.ValidatingAdmissionPolicy, *policy.Refusal, error) {
	relaxed, refused, err := r.relaxing(ctx, objects)
	if refused != nil || err != nil {
		return nil, refused, err
	}
	if _, refused, err := r.applyAll(ctx, nil, relaxed); refused != nil || err != nil {
		return nil, refused, err
	}
	return r.applyAll(ctx, objects.Policies, objects.Bindings)
}

// relaxing are the bindings that are to stop denying. Where there are any, the API server is
// asked first whether it takes all of the generation: one that it refuses opens nothing.
func (r *Reconciler) relaxing(ctx context.Context, objects *policy.Objects) ([]*admissionregistrationv1.ValidatingAdmissionPolicyBinding, *policy.Refusal, error) {
	var out []*admissionregistrationv1.ValidatingAdmissionPolicyBinding
	for _, want := range objects.Bindings {
		relaxed, err := r.relaxes(ctx, want)
		if err != nil {
			return nil, nil, err
		}
		if relaxed {
			out = append(out, want)
		}
	}
	if len(out) == 0 {
		return nil, nil, nil
	}
	_, refused, err := r.applyAll(ctx, objects.Policies, objects.Bindings, client.DryRunAll)
	return out, refused, err
}

// applyAll writes policies, and then bindings.
func (r *Reconciler) applyAll(ctx context.Context, policies []*admissionregistrationv1.ValidatingAdmissionPolicy,
	bindings []*admissionregistrationv1.ValidatingAdmissionPolicyBinding, opts ...client.ApplyOption,
) ([]*admissionregistrationv1.ValidatingAdmissionPolicy, *policy.Refusal, error) {
	var live []*admissionregistrationv1.ValidatingAdmissionPolicy
	for _, want := range policies {
		have := &admissionregistrationv1.ValidatingAdmissionPolicy{}
		if refused, err := r.applyOne(ctx, have, want, opts...); refused != nil || err != nil {
			return nil, refused, err
		}
		live = append(live, have)
	}
	for _, want := range bindings {
		if refused, err := r.applyOne(ctx, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{}, want, opts...); refused != nil || err != nil {
			return nil, refused, err
		}
	}
	return live, nil, nil
}

// relaxes says whether a binding denies, and is to stop that.
func (r *Reconciler) relaxes(ctx context.Context, want *admissionregistrationv1.ValidatingAdmissionPolicyBinding) (bool, error) {
	if slices.Contains(want.Spec.ValidationActions, admissionregistrationv1.Deny) {
		return false, nil
	}
	have := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{}
	if err := r.Client.Get(ctx, client.ObjectKeyFromObject(want), have); err != nil {
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return false, fmt.Errorf("read %s %s: %w", want.Kind, want.Name, err)
	}
	return slices.Contains(have.Spec.ValidationActions, admissionregistrationv1.Deny), nil
}

// applyOne writes one object where the cache has another, and leaves in have
// what the API server has then.
func (r *Reconciler) applyOne(ctx context.Context, have, want client.Object, opts ...client.ApplyOption) (*policy.Refusal, error) {
	what := fmt.Sprintf("%s %s", want.GetObjectKind().GroupVersionKind().Kind, want.GetName())
	err := r.Client.Get(ctx, client.ObjectKeyFromObject(want), have)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	if err == nil && same(have, want) {
		return nil, nil //nolint:nilnil // neither refused nor failed
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(want)
	if err != nil {
		return nil, fmt.Errorf("convert %s: %w", what, err)
	}
	delete(content, "status")
	applied := &unstructured.Unstructured{Object: content}
	err = r.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(applied), append(opts, client.FieldOwner(status.FieldManager))...)
	if err != nil {
		return r.refusalOf(what, err)
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(applied.Object, have); err != nil {
		return nil, fmt.Errorf("read the API server's answer about %s: %w", what, err)
	}
	if !same(have, want) {
		return r.conflict(what, fmt.Sprintf("it also has what was set by %s", strings.Join(otherManagers(have), ", "))), nil
	}
	return nil, nil //nolint:nilnil // neither refused nor failed
}

// refusalOf is what an answer means that trying again at once does not change.
func (r *Reconciler) refusalOf(what string, err error) (*policy.Refusal, error) {
	switch {
	case apierrors.IsConflict(err):
		return r.conflict(what, err.Error()), nil
	case apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsRequestEntityTooLargeError(err):
		return &policy.Refusal{Reason: v1alpha1.ReasonRejected, Message: fmt.Sprintf("the API server refuses %s: %v", what, err)}, nil
	case apierrors.IsForbidden(err):
		return &policy.Refusal{Reason: v1alpha1.ReasonForbidden, Message: fmt.Sprintf("Mainstay may not write %s: %v", what, err)}, nil
	}
	return nil, fmt.Errorf("apply %s: %w", what, err)
}

func (r *Reconciler) conflict(what, why string) *policy.Refusal {
	kind, name, _ := strings.Cut(what, " ")
	r.Metrics.Conflicts.WithLabelValues(kind).Inc()
	return &policy.Refusal{Reason: v1alpha1.ReasonConflict, Message: fmt.Sprintf(
		"%s is not what the rule says: %s. To have it written anew: kubectl delete %s %s", what, why, strings.ToLower(kind), name)}
}

// same says whether the API server has what it should, defaults included.
func same(have, want client.Object) bool {
	return holds(have.GetLabels(), want.GetLabels()) && holds(have.GetAnnotations(), want.GetAnnotations()) &&
		equality.Semantic.DeepEqual(have.GetOwnerReferences(), want.GetOwnerReferences()) &&
		equality.Semantic.DeepEqual(specOf(have), specOf(want))
}

func holds(have, want map[string]string) bool {
	for key, value := range want {
		if have[key] != value {
			return false
		}
	}
	return true
}

func specOf(obj client.Object) any {
	switch typed := obj.(type) {
	case *admissionregistrationv1.ValidatingAdmissionPolicy:
		return typed.Spec
	case *admissionregistrationv1.ValidatingAdmissionPolicyBinding:
		return typed.Spec
	}
	return nil
}

// otherManagers are who else set fields of an object.
func otherManagers(obj client.Object) []string {
	var names []string
	for _, entry := range obj.GetManagedFields() {
		if entry.Manager != status.FieldManager && entry.Subresource == "" {
			names = append(names, fmt.Sprintf("%q", entry.Manager))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

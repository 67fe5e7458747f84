package policy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/controller/internal/status"
)

// apply writes what differs: a policy before its bindings, because a binding
// without its policy does nothing, but a binding that stops denying before its
// policy, so that no request is denied by what only warns. What the rule does not have any
// more goes last. The API server is asked first whether it takes all of it: a generation of
// which it refuses a part changes nothing. What somebody else owns keeps the rest from being
// written only where that would open something: an exception that lapses does so elsewhere.
// Where the cache has all of it nothing is asked. It returns the policies as the API server
// has them, or why one cannot be what it should.
func (r *Reconciler) apply(ctx context.Context, key rule.Key, objects *policy.Objects, seen policy.Report) (
	[]*admissionregistrationv1.ValidatingAdmissionPolicy, *policy.Refusal, error,
) {
	differs, relaxed, err := r.compare(ctx, objects)
	if err != nil {
		return nil, nil, err
	}
	left, err := r.left(ctx, key, objects)
	if err != nil {
		return nil, nil, err
	}
	if differs || len(left) > 0 {
		if refused, err := r.current(ctx, key, seen); refused != nil || err != nil {
			return nil, refused, err
		}
	}
	_, refused, err := r.applyAll(ctx, objects.Policies, objects.Bindings, client.DryRunAll)
	if err != nil || refused != nil && (refused.Reason != v1alpha1.ReasonConflict || len(relaxed) > 0) {
		return nil, refused, err
	}
	if _, refused, err := r.applyAll(ctx, nil, relaxed); refused != nil || err != nil {
		return nil, refused, err
	}
	others := slices.DeleteFunc(slices.Clone(objects.Bindings), func(binding *admissionregistrationv1.ValidatingAdmissionPolicyBinding) bool {
		return slices.Contains(relaxed, binding)
	})
	live, refused, err := r.applyAll(ctx, objects.Policies, others)
	if refused != nil || err != nil {
		return nil, refused, err
	}
	return live, nil, r.remove(ctx, key, left)
}

// compare says whether the cache has other objects than there should be, and which bindings
// deny in it that are to stop that.
func (r *Reconciler) compare(ctx context.Context, objects *policy.Objects) (
	differs bool, relaxed []*admissionregistrationv1.ValidatingAdmissionPolicyBinding, err error,
) {
	for _, want := range objects.Policies {
		have := &admissionregistrationv1.ValidatingAdmissionPolicy{}
		if err := r.cached(ctx, have, want); err != nil {
			return false, nil, err
		}
		differs = differs || !same(have, want)
	}
	for _, want := range objects.Bindings {
		have := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{}
		if err := r.cached(ctx, have, want); err != nil {
			return false, nil, err
		}
		differs = differs || !same(have, want)
		if denies(have) && !denies(want) {
			relaxed = append(relaxed, want)
		}
	}
	return differs, relaxed, nil
}

// cached reads into have what the cache has of an object. What is not there stays empty.
func (r *Reconciler) cached(ctx context.Context, have, want client.Object) error {
	if err := r.Client.Get(ctx, client.ObjectKeyFromObject(want), have); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("read %s: %w", nameOf(want), err)
	}
	return nil
}

func denies(binding *admissionregistrationv1.ValidatingAdmissionPolicyBinding) bool {
	return slices.Contains(binding.Spec.ValidationActions, admissionregistrationv1.Deny)
}

// applyAll writes policies, and then bindings. What somebody else owns keeps no other one from
// being written.
func (r *Reconciler) applyAll(ctx context.Context, policies []*admissionregistrationv1.ValidatingAdmissionPolicy,
	bindings []*admissionregistrationv1.ValidatingAdmissionPolicyBinding, opts ...client.ApplyOption,
) ([]*admissionregistrationv1.ValidatingAdmissionPolicy, *policy.Refusal, error) {
	var (
		live     []*admissionregistrationv1.ValidatingAdmissionPolicy
		conflict *policy.Refusal
	)
	write := func(have, want client.Object) (*policy.Refusal, error) {
		refused, err := r.applyOne(ctx, have, want, opts...)
		if refused != nil && refused.Reason == v1alpha1.ReasonConflict {
			conflict, refused = cmp.Or(conflict, refused), nil
		}
		return refused, err
	}
	for _, want := range policies {
		have := &admissionregistrationv1.ValidatingAdmissionPolicy{}
		if refused, err := write(have, want); refused != nil || err != nil {
			return nil, refused, err
		}
		live = append(live, have)
	}
	for _, want := range bindings {
		if refused, err := write(&admissionregistrationv1.ValidatingAdmissionPolicyBinding{}, want); refused != nil || err != nil {
			return nil, refused, err
		}
	}
	return live, conflict, nil
}

// applyOne writes one object where the cache has another, and leaves in have
// what the API server has then.
func (r *Reconciler) applyOne(ctx context.Context, have, want client.Object, opts ...client.ApplyOption) (*policy.Refusal, error) {
	what := nameOf(want)
	if err := r.cached(ctx, have, want); err != nil {
		return nil, err
	}
	if same(have, want) {
		return nil, nil //nolint:nilnil // neither refused nor failed
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(want)
	if err != nil {
		return nil, fmt.Errorf("convert %s: %w", what, err)
	}
	delete(content, "status")
	applied := &unstructured.Unstructured{Object: content}
	// What it was compared with is in it: one that was deleted or changed meanwhile is looked at
	// again, by whoever leads then.
	applied.SetUID(have.GetUID())
	applied.SetResourceVersion(have.GetResourceVersion())
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
	case apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict):
		return r.conflict(what, err.Error()), nil
	case apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsRequestEntityTooLargeError(err):
		return &policy.Refusal{Reason: v1alpha1.ReasonRejected, Message: fmt.Sprintf("the API server refuses %s: %v", what, err)}, nil
	case apierrors.IsForbidden(err):
		return &policy.Refusal{Reason: v1alpha1.ReasonForbidden, Message: fmt.Sprintf("Mainstay may not write %s: %v", what, err)}, nil
	}
	return nil, fmt.Errorf("apply %s: %w", what, err)
}

func nameOf(obj client.Object) string {
	return fmt.Sprintf("%s %s", obj.GetObjectKind().GroupVersionKind().Kind, obj.GetName())
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

package action

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch
// What acts on the objects of others is in a role of its own, which a cluster may do
// without.
// +kubebuilder:rbac:groups="",resources=pods/eviction,verbs=create,roleName=mainstay-heal

// Evict removes a pod through the Eviction API, which respects
// PodDisruptionBudgets.
type Evict struct {
	client client.Client
	reader client.Reader
}

var _ Action = (*Evict)(nil)

// NewEvict returns the action. The reader reads the API server, not a cache.
func NewEvict(c client.Client, reader client.Reader) *Evict {
	return &Evict{client: c, reader: reader}
}

// Do asks for the pod's eviction, under its UID.
func (e *Evict) Do(ctx context.Context, target v1alpha1.TargetReference) error {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: target.Namespace, Name: target.Name}}
	err := e.client.SubResource("eviction").Create(ctx, pod, &policyv1.Eviction{
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &target.UID}},
	})
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		// 409 is the UID precondition: another pod has the name now.
		return fmt.Errorf("%w: %w", ErrGone, err)
	case apierrors.HasStatusCause(err, policyv1.DisruptionBudgetCause):
		return fmt.Errorf("%w: %w", ErrBlocked, err)
	case apierrors.IsTooManyRequests(err), apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return fmt.Errorf("%w: %w", ErrRejected, err)
	default:
		return fmt.Errorf("evict pod %s/%s: %w", target.Namespace, target.Name, err)
	}
}

// Seen is true once the pod is gone, replaced or terminating.
func (e *Evict) Seen(ctx context.Context, target v1alpha1.TargetReference) (bool, error) {
	var pod corev1.Pod
	err := e.reader.Get(ctx, types.NamespacedName{Namespace: target.Namespace, Name: target.Name}, &pod)
	switch {
	case apierrors.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("read pod %s/%s: %w", target.Namespace, target.Name, err)
	default:
		return pod.UID != target.UID || pod.DeletionTimestamp != nil, nil
	}
}

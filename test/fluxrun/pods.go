package fluxrun

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/test/images"
)

// errNoLeader is the cause when nobody, or a pod that is gone, holds the lease.
var errNoLeader = errors.New("no pod leads")

// Pods are the pods of a controller, by name, those that are being deleted too.
func (f *Flux) Pods(ctx context.Context, controller string) ([]corev1.Pod, error) {
	label := "app"
	if controller == images.FluxOperator {
		label = "app.kubernetes.io/name"
	}
	var pods corev1.PodList
	if err := f.client.List(ctx, &pods, client.InNamespace(f.namespace), client.MatchingLabels{label: controller}); err != nil {
		return nil, fmt.Errorf("listing the pods of %s: %w", controller, err)
	}
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return pods.Items, nil
}

// Leader is the pod that holds the Lease of a controller, and its node. It is an error
// when there is none. Whether the leader is alive is not looked at.
func (f *Flux) Leader(ctx context.Context, controller string) (pod, node string, err error) {
	leader, err := f.leader(ctx, controller)
	if err != nil {
		return "", "", err
	}
	return leader.Name, leader.Spec.NodeName, nil
}

func (f *Flux) leader(ctx context.Context, controller string) (*corev1.Pod, error) {
	lease, err := f.lease(ctx, controller)
	if err != nil {
		return nil, err
	}
	name := holder(lease)
	if name == "" {
		return nil, fmt.Errorf("finding the leader of %s: %w", controller, errNoLeader)
	}
	var pod corev1.Pod
	err = f.client.Get(ctx, types.NamespacedName{Namespace: f.namespace, Name: name}, &pod)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("finding the leader of %s: %w: pod %s is gone", controller, errNoLeader, name)
	}
	if err != nil {
		return nil, fmt.Errorf("finding the leader of %s: %w", controller, err)
	}
	return &pod, nil
}

// lease reads the Lease of a controller. Its name is in the controllers' own code.
func (f *Flux) lease(ctx context.Context, controller string) (*coordinationv1.Lease, error) {
	name := controller + "-leader-election"
	if controller == images.FluxOperator {
		name = controller
	}
	var lease coordinationv1.Lease
	if err := f.client.Get(ctx, types.NamespacedName{Namespace: f.namespace, Name: name}, &lease); err != nil {
		return nil, fmt.Errorf("reading Lease %s/%s: %w", f.namespace, name, err)
	}
	return &lease, nil
}

// holder is the pod in a holder identity, which is <pod>_<uuid>.
func holder(lease *coordinationv1.Lease) string {
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	pod, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
	return pod
}

// ready tells whether a pod is Ready and stays.
func ready(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil {
		return false
	}
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

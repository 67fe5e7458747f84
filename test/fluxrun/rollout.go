package fluxrun

import (
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// awaitRollouts waits until the Deployments of controllers are as they should be.
func (f *Flux) awaitRollouts(ctx context.Context, controllers ...string) error {
	for _, name := range controllers {
		err := await(ctx, name+" to be rolled out", func(ctx context.Context) error { return f.rolledOut(ctx, name) })
		if err != nil {
			return err
		}
		pods, err := f.Pods(ctx, name)
		if err != nil {
			return err
		}
		for i := range pods {
			if ending(pods[i]) {
				f.say("pod %s on %s is still ending, after %s", pods[i].Name, pods[i].Spec.NodeName, time.Since(deletedAt(&pods[i])).Round(time.Second))
			}
		}
	}
	return nil
}

// ending says whether a pod is being deleted. It may take as long as its controller has to
// finish what it is doing: ten minutes, for helm-controller.
func ending(pod corev1.Pod) bool { return pod.DeletionTimestamp != nil }

// deletedAt is when somebody asked for a pod's end: Kubernetes notes when that has to be.
func deletedAt(pod *corev1.Pod) time.Time {
	return pod.DeletionTimestamp.Add(-time.Duration(ptr.Deref(pod.DeletionGracePeriodSeconds, 0)) * time.Second)
}

// rolledOut tells why a controller is not rolled out. Pods that end are not looked at.
func (f *Flux) rolledOut(ctx context.Context, name string) error {
	var d appsv1.Deployment
	if err := f.client.Get(ctx, types.NamespacedName{Namespace: f.namespace, Name: name}, &d); err != nil {
		return fmt.Errorf("reading Deployment %s: %w", name, err)
	}
	pods, err := f.Pods(ctx, name)
	if err != nil {
		return err
	}
	for i := range pods {
		if err := stuck(&pods[i]); err != nil {
			return err
		}
	}
	want, s := *d.Spec.Replicas, d.Status
	if s.ObservedGeneration != d.Generation || s.UpdatedReplicas != want || s.Replicas != want || s.AvailableReplicas != want {
		return fmt.Errorf("%d of %d replicas of %s are available", s.AvailableReplicas, want, name)
	}
	pods = slices.DeleteFunc(pods, ending)
	// The status of the Deployment can be from before a pod was deleted.
	if len(pods) != int(want) {
		return fmt.Errorf("%s has %d pods that stay, not %d", name, len(pods), want)
	}
	for i := range pods {
		if !ready(&pods[i]) {
			return fmt.Errorf("pod %s is not Ready", pods[i].Name)
		}
	}
	return nil
}

// stuck tells what a pod waits for that does not come by itself.
func stuck(pod *corev1.Pod) error {
	for _, c := range pod.Status.ContainerStatuses {
		if w := c.State.Waiting; w != nil {
			switch w.Reason {
			case "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName":
				return fmt.Errorf("%w: image %s is not on %s: %s", errHopeless, c.Image, pod.Spec.NodeName, w.Message)
			case "CreateContainerConfigError":
				return fmt.Errorf("%w: container %s of pod %s cannot be made: %s", errHopeless, c.Name, pod.Name, w.Message)
			}
		}
	}
	return nil
}

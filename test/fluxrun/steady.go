package fluxrun

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const reconcileAnnotation = "reconcile.fluxcd.io/requestedAt"

// Steady waits until the cluster is as before a fault: every node is Ready and takes
// pods, no pod is held back by a crash loop (such pods are deleted, which ends their
// back-off), every controller is rolled out, leads and renews its lease, and every
// GitRepository and Kustomization of Flux's namespace answers a request to reconcile and
// has applied what is in Git. Its error says what is missing.
func (f *Flux) Steady(ctx context.Context) error {
	if err := await(ctx, "the nodes and pods to be well", f.well); err != nil {
		return err
	}
	if err := f.awaitLeaders(ctx); err != nil {
		return err
	}
	return f.awaitReconciled(ctx)
}

// awaitLeaders waits until every controller is rolled out, leads and renews its lease.
// They renew in turns of their own, some seconds apart, and are waited for side by side.
func (f *Flux) awaitLeaders(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, controller := range f.controllers {
		group.Go(func() error {
			if _, err := f.settled(ctx, controller); err != nil {
				return err
			}
			return f.awaitRenewal(ctx, controller)
		})
	}
	return group.Wait()
}

// well looks at nodes and pods once.
func (f *Flux) well(ctx context.Context) error {
	var nodes corev1.NodeList
	if err := f.client.List(ctx, &nodes); err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	var errs []error
	for i := range nodes.Items {
		errs = append(errs, healthy(&nodes.Items[i]))
	}
	var pods corev1.PodList
	if err := f.client.List(ctx, &pods); err != nil {
		return fmt.Errorf("listing pods: %w", err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		switch {
		case pod.DeletionTimestamp != nil:
			errs = append(errs, fmt.Errorf("pod %s/%s is being deleted", pod.Namespace, pod.Name))
		case crashLooping(pod):
			errs = append(errs, fmt.Errorf("pod %s/%s is in a crash loop", pod.Namespace, pod.Name), f.restart(ctx, pod))
		}
	}
	return errors.Join(errs...)
}

func crashLooping(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
		return c.State.Waiting != nil && c.State.Waiting.Reason == "CrashLoopBackOff"
	})
}

// restart deletes a pod that something makes again.
func (f *Flux) restart(ctx context.Context, pod *corev1.Pod) error {
	if len(pod.OwnerReferences) == 0 {
		return nil
	}
	f.say("deleting pod %s/%s, which is in a crash loop", pod.Namespace, pod.Name)
	err := f.client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("deleting pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

// awaitRenewal waits until the lease of a controller is renewed by a pod that is there.
func (f *Flux) awaitRenewal(ctx context.Context, controller string) error {
	before, err := f.lease(ctx, controller)
	if err != nil {
		return err
	}
	return await(ctx, controller+" to renew its lease", func(ctx context.Context) error {
		if _, err := f.leader(ctx, controller); err != nil {
			return err
		}
		lease, err := f.lease(ctx, controller)
		if err != nil {
			return err
		}
		if lease.Spec.RenewTime.Equal(before.Spec.RenewTime) {
			return fmt.Errorf("it was renewed at %s last", lease.Spec.RenewTime)
		}
		return nil
	})
}

// awaitReconciled asks for reconciliation, sources first, and waits until it was done.
// The status alone proves nothing: a controller that is cut off leaves it as it is.
func (f *Flux) awaitReconciled(ctx context.Context) error {
	for _, kind := range []struct{ apiVersion, kind string }{{sourceAPI, "GitRepository"}, {kustomizeAPI, "Kustomization"}} {
		list := &unstructured.UnstructuredList{}
		list.SetAPIVersion(kind.apiVersion)
		list.SetKind(kind.kind + "List")
		if err := f.client.List(ctx, list, client.InNamespace(f.namespace)); err != nil {
			return fmt.Errorf("listing every %s: %w", kind.kind, err)
		}
		for i := range list.Items {
			if err := f.reconcile(ctx, &list.Items[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// reconcile asks for the reconciliation of an object and waits until it was done well.
func (f *Flux) reconcile(ctx context.Context, obj *unstructured.Unstructured) error {
	if suspended, _, err := unstructured.NestedBool(obj.Object, "spec", "suspend"); err != nil || suspended {
		return err
	}
	token := time.Now().UTC().Format(time.RFC3339Nano)
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, reconcileAnnotation, token)
	if err := f.client.Patch(ctx, obj.DeepCopy(), client.RawPatch(types.MergePatchType, patch), fieldOwner); err != nil {
		return fmt.Errorf("asking for the reconciliation of %s: %w", describe(obj), err)
	}
	return await(ctx, describe(obj)+" to be reconciled", func(ctx context.Context) error {
		current, err := f.get(ctx, obj)
		if err != nil {
			return err
		}
		// Somebody else's later request takes the place of this one.
		asked := current.GetAnnotations()[reconcileAnnotation]
		if handled := field(current, "status", "lastHandledReconcileAt"); handled != token && (asked == token || handled != asked) {
			return fmt.Errorf("it has not answered the request of %s", asked)
		}
		return condition(current, "Ready")
	})
}

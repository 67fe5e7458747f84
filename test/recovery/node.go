package recovery

import (
	"context"
	"errors"
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// running is the name of the Pod in kube-system that is bound to the standing Node.
const running = "running"

// runningPod stays where it is: no taint moves it away from a Node that nobody runs.
func runningPod() (*unstructured.Unstructured, error) {
	objs, err := Namespaced(running, metav1.NamespaceSystem)
	if err != nil {
		return nil, err
	}
	pod := objs[slices.IndexFunc(objs, func(obj *unstructured.Unstructured) bool { return obj.GetKind() == "Pod" })]
	for field, value := range map[string]any{
		"nodeName": standing, "serviceAccountName": standing,
		"tolerations": []any{map[string]any{"operator": string(corev1.TolerationOpExists)}},
	} {
		if err := unstructured.SetNestedField(pod.Object, value, "spec", field); err != nil {
			return nil, err
		}
	}
	return pod, nil
}

// ofNode is what a kubelet writes, all of it under its node's name but for events and pods:
// one that joins registers, and the standing one runs pods.
func (w *walker) ofNode(name string) []func(context.Context) {
	inSystem, out := []string{"CSINode", "TokenReview", "SubjectAccessReview"}, []func(context.Context){}
	if w.user.Node == standing {
		out = append(out, w.statusOf("v1", "Node", ""), w.token, func(ctx context.Context) { w.mirror(ctx, name) })
	} else {
		inSystem = append(inSystem, "Node", "CertificateSigningRequest")
	}
	for namespace, wanted := range map[string][]string{corev1.NamespaceNodeLease: {"Lease"}, metav1.NamespaceSystem: inSystem} {
		objs, err := Kinds(w.user.Node, namespace)
		events, errEvents := Namespaced(name, namespace)
		if err := errors.Join(err, errEvents); err != nil {
			w.report(w.user.Name, "read the manifests", 0, err)
			continue
		}
		for _, obj := range append(objs, events...) {
			if obj.GetKind() == "Event" || slices.Contains(wanted, obj.GetKind()) {
				out = append(out, func(ctx context.Context) { w.cycle(ctx, obj) })
			}
		}
	}
	return out
}

// token asks for the identity of a pod that runs.
func (w *walker) token(ctx context.Context) {
	w.try(ctx, "create a token of a pod that it runs", func(ctx context.Context) error {
		var pod corev1.Pod
		if err := w.client.Get(ctx, client.ObjectKey{Namespace: metav1.NamespaceSystem, Name: running}, &pod); err != nil {
			return err
		}
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Spec.ServiceAccountName}}
		token := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
			BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
		}}
		return found(ctx, func() error { return w.client.SubResource("token").Create(ctx, account, token) })
	})
}

// mirror has the mirror of a static pod come, report and go, as that of a control plane does.
func (w *walker) mirror(ctx context.Context, name string) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: metav1.NamespaceSystem, Name: name + "-mirror",
			Annotations: map[string]string{corev1.MirrorPodAnnotationKey: name},
		},
		Spec: corev1.PodSpec{NodeName: standing, Containers: []corev1.Container{{Name: "main", Image: "registry.example/main:v1"}}},
	}
	if !w.try(ctx, "create a mirror pod", func(ctx context.Context) error {
		var node corev1.Node
		if err := w.client.Get(ctx, client.ObjectKey{Name: standing}, &node); err != nil {
			return err
		}
		pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID, Controller: new(true)}}
		return w.client.Create(ctx, pod)
	}) {
		return
	}
	w.try(ctx, "patch the status of a pod that it runs", func(ctx context.Context) error {
		return w.client.Status().Patch(ctx, pod, client.RawPatch(types.MergePatchType, []byte(`{"status":{"phase":"Running"}}`)))
	})
	w.try(ctx, "delete a pod that it runs", func(ctx context.Context) error {
		return found(ctx, func() error { return w.client.Delete(ctx, pod, client.GracePeriodSeconds(0)) })
	})
}

// found tries again while the object is not found: the API server looks in a cache for the
// pods of a node.
func found(ctx context.Context, do func() error) error {
	for {
		err := do()
		if !apierrors.IsNotFound(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

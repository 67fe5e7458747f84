package manager

import (
	"maps"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/certs"
	"github.com/mainstay-dev/mainstay/controller/internal/gate"
)

// cacheOptions keep what the controllers read. Interventions are read in
// Mainstay's own namespace only: elsewhere nobody's claim counts. Of admission
// policies those of rules are read, and nobody else's, of ConfigMaps the one that
// keeps the gates open, and of Secrets the one that certs keeps.
func cacheOptions(namespace string) cache.Options {
	ofRules := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy})}
	byObject := map[client.Object]cache.ByObject{
		&corev1.Pod{}:        {Transform: stripPod},
		&corev1.Node{}:       {Transform: stripNode},
		&appsv1.ReplicaSet{}: {Transform: stripReplicaSet},
		&admissionregistrationv1.ValidatingAdmissionPolicy{}:        ofRules,
		&admissionregistrationv1.ValidatingAdmissionPolicyBinding{}: ofRules,
		&corev1.ConfigMap{}: {
			Namespaces: map[string]cache.Config{namespace: {}},
			Field:      fields.OneTermEqualSelector(metav1.ObjectNameField, gate.RecordName),
		},
		&v1alpha1.Intervention{}: {Namespaces: map[string]cache.Config{namespace: {}}},
	}
	maps.Copy(byObject, certs.Watched(namespace))
	return cache.Options{DefaultTransform: strip, ByObject: byObject}
}

// strip drops what nobody reads and what is often the larger part of an
// object.
func strip(item any) (any, error) {
	obj, err := meta.Accessor(item)
	if err != nil {
		return item, nil //nolint:nilerr // not an object: a tombstone, which is small
	}
	obj.SetManagedFields(nil)
	if annotations := obj.GetAnnotations(); annotations[corev1.LastAppliedConfigAnnotation] != "" {
		delete(annotations, corev1.LastAppliedConfigAnnotation)
		obj.SetAnnotations(annotations)
	}
	return item, nil
}

// stripPod keeps of a pod what tells where it is, whether it is ready and
// where else it could go.
func stripPod(item any) (any, error) {
	pod, ok := item.(*corev1.Pod)
	if !ok {
		return item, nil
	}
	pod.ManagedFields = nil
	pod.Annotations = nil
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			containers[i] = corev1.Container{Name: containers[i].Name, Image: containers[i].Image, Resources: containers[i].Resources}
		}
	}
	pod.Spec.EphemeralContainers = nil
	pod.Status.InitContainerStatuses = nil
	pod.Status.EphemeralContainerStatuses = nil
	return pod, nil
}

// stripNode drops the images, which are most of a Node.
func stripNode(item any) (any, error) {
	if node, ok := item.(*corev1.Node); ok {
		node.Status.Images = nil
	}
	return strip(item)
}

// stripReplicaSet keeps what links pods to their Deployment. A cluster has ten
// times as many ReplicaSets as Deployments, each with a template.
func stripReplicaSet(item any) (any, error) {
	if rs, ok := item.(*appsv1.ReplicaSet); ok {
		rs.Spec.Template = corev1.PodTemplateSpec{}
		rs.Annotations = nil
	}
	return strip(item)
}

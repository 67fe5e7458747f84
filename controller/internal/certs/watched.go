package certs

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Watched is what a cache has to hold for a Keeper, and all that it may: one Secret and
// one ValidatingWebhookConfiguration. Both are kept whole: the managed fields of the
// configuration say when it was written.
func Watched(namespace string) map[client.Object]cache.ByObject {
	whole := func(item any) (any, error) { return item, nil }
	return map[client.Object]cache.ByObject{
		&corev1.Secret{}: {
			Namespaces: map[string]cache.Config{namespace: {}},
			Field:      fields.OneTermEqualSelector(metav1.ObjectNameField, SecretName),
			Transform:  whole,
		},
		&admissionregistrationv1.ValidatingWebhookConfiguration{}: {
			Field:     fields.OneTermEqualSelector(metav1.ObjectNameField, ConfigurationName),
			Transform: whole,
		},
	}
}

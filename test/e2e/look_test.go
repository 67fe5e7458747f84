//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// lookEvery is how often a condition is looked at.
const lookEvery = 500 * time.Millisecond

// eventually waits until look is satisfied; look says what it sees. The test fails
// with what was seen last.
func eventually(t *testing.T, limit time.Duration, what string, look func(context.Context) (bool, string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	began := time.Now()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for seen := "nothing"; ; {
		ok, now := look(ctx)
		if ctx.Err() == nil {
			// What a look says that time cut off hides what was seen before.
			seen = now
		}
		if ok {
			t.Logf("%s after %.1f s: %s", what, time.Since(began).Seconds(), seen)
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %s; seen last: %s", what, limit, seen)
		case <-ticker.C:
		}
	}
}

// condition is the status, reason and message of an object's condition.
func condition(object *unstructured.Unstructured, kind string) (status, reason, message string) {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, one := range conditions {
		if c, ok := one.(map[string]any); ok && c["type"] == kind {
			return fmt.Sprint(c["status"]), fmt.Sprint(c["reason"]), fmt.Sprint(c["message"])
		}
	}
	return "", "", "no condition " + kind
}

func get(ctx context.Context, c client.Client, apiVersion, kind, namespace, name string) (*unstructured.Unstructured, error) {
	object := &unstructured.Unstructured{}
	object.SetAPIVersion(apiVersion)
	object.SetKind(kind)
	err := c.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, object)
	return object, err
}

// kustomizationSays is the Ready condition of a Kustomization in Flux's namespace.
func kustomizationSays(ctx context.Context, c client.Client, name string) (status, message string, err error) {
	object, err := get(ctx, c, "kustomize.toolkit.fluxcd.io/v1", "Kustomization", fluxNamespace, name)
	if err != nil {
		return "", "", err
	}
	status, _, message = condition(object, "Ready")
	return status, message, nil
}

func podReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil
		}
	}
	return false
}

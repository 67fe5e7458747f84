package main

import (
	"context"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func deployment(want, replicas, available int32) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "coredns", Generation: 2},
		Spec:       appsv1.DeploymentSpec{Replicas: &want},
		Status:     appsv1.DeploymentStatus{ObservedGeneration: 2, UpdatedReplicas: want, Replicas: replicas, AvailableReplicas: available},
	}
}

func TestSettled(t *testing.T) {
	tests := map[string]struct {
		objects []client.Object
		want    string
	}{
		"all is well": {[]client.Object{deployment(2, 2, 2)}, ""},
		"a replica is missing": {
			[]client.Object{deployment(2, 2, 1)}, "deployment kube-system/coredns has 1 of 2 replicas available",
		},
		"one is too many": {
			[]client.Object{deployment(2, 3, 2)}, "deployment kube-system/coredns has 2 of 2 replicas available",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := fake.NewClientBuilder().WithObjects(test.objects...).Build()
			got := deploymentsWhole(t.Context(), c)
			if (got == nil) != (test.want == "") || got != nil && got.Error() != test.want {
				t.Errorf("got %v, want %q", got, test.want)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if err := settled(ctx, c); (err == nil) != (test.want == "") {
				t.Errorf("settled: %v", err)
			}
		})
	}
}

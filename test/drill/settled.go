package main

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// settled waits until every Deployment, those of Mainstay and of cluster DNS among
// them, has all its replicas.
func settled(ctx context.Context, c client.Client) error {
	var last error
	err := wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, lookTimeout)
		defer cancel()
		last = deploymentsWhole(ctx, c)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the cluster to settle: %w: %w", err, last)
	}
	return nil
}

func deploymentsWhole(ctx context.Context, c client.Client) error {
	var deployments appsv1.DeploymentList
	if err := c.List(ctx, &deployments); err != nil {
		return fmt.Errorf("listing the deployments: %w", err)
	}
	for i := range deployments.Items {
		d := &deployments.Items[i]
		want, s := int32(1), d.Status
		if d.Spec.Replicas != nil {
			want = *d.Spec.Replicas
		}
		if s.ObservedGeneration != d.Generation || s.UpdatedReplicas != want || s.Replicas != want || s.AvailableReplicas != want {
			return fmt.Errorf("deployment %s/%s has %d of %d replicas available", d.Namespace, d.Name, s.AvailableReplicas, want)
		}
	}
	return nil
}

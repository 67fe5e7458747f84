package main

import (
	"context"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
)

// leaseSeconds and renewEvery are the timings of Flux's leases in the demo.
const (
	leaseSeconds = 6
	renewEvery   = time.Second
)

// elections does for simulated pods what the leader election of Flux's
// controllers does: a ready pod takes the Lease of its controller when nobody
// holds it or its holder has let it expire, and renews it as long as it runs.
type elections struct {
	client      kubernetes.Interface
	namespace   string
	controllers []string
	// alive says whether a node still runs its pods.
	alive func(node string) bool
}

func (e *elections) run(ctx context.Context) {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		for _, name := range e.controllers {
			// A request that fails is a renewal that is missed, as with the real
			// thing; the next one is a second away.
			_ = e.renew(ctx, name)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (e *elections) renew(ctx context.Context, controller string) error {
	pods, err := e.client.CoreV1().Pods(e.namespace).List(ctx, metav1.ListOptions{
		LabelSelector: labels.Set{"app": controller}.String(),
	})
	if err != nil {
		return err
	}
	leases := e.client.CoordinationV1().Leases(e.namespace)
	name := controller + "-leader-election"
	lease, err := leases.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		lease, err = leases.Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: e.namespace, Name: name}}, metav1.CreateOptions{})
	}
	if err != nil {
		return err
	}
	now := metav1.NowMicro()
	holder := ""
	if lease.Spec.HolderIdentity != nil {
		holder, _, _ = strings.Cut(*lease.Spec.HolderIdentity, "_")
	}
	candidate := ""
	for i := range pods.Items {
		pod := &pods.Items[i]
		if !e.runs(pod) {
			continue
		}
		if pod.Name == holder {
			candidate = holder
			break
		}
		if candidate == "" || pod.Name < candidate {
			candidate = pod.Name
		}
	}
	expired := lease.Spec.RenewTime == nil || now.Sub(lease.Spec.RenewTime.Time) > leaseSeconds*time.Second
	if candidate == "" || (candidate != holder && !expired) {
		return nil
	}
	if candidate != holder {
		identity := candidate + "_demo"
		transitions := int32(0)
		if lease.Spec.LeaseTransitions != nil {
			transitions = *lease.Spec.LeaseTransitions + 1
		}
		lease.Spec.HolderIdentity = &identity
		lease.Spec.AcquireTime = &now
		lease.Spec.LeaseTransitions = &transitions
	}
	lease.Spec.RenewTime = &now
	lease.Spec.LeaseDurationSeconds = new(int32(leaseSeconds))
	_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	return err
}

func (e *elections) runs(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil || !e.alive(pod.Spec.NodeName) {
		return false
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

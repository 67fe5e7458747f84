//go:build e2e

package faults

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// eventually waits until check returns "", and fails with its last words.
func eventually(t *testing.T, within time.Duration, check func(ctx context.Context) string) {
	t.Helper()
	var last string
	began := time.Now()
	err := wait.PollUntilContextTimeout(t.Context(), 200*time.Millisecond, within, true, func(ctx context.Context) (bool, error) {
		last = check(ctx)
		return last == "", nil
	})
	if err != nil {
		t.Fatalf("after %s: %v: %s", time.Since(began).Round(time.Second), err, last)
	}
}

// pod returns the daemon's pod on a worker.
func (b *bench) pod(ctx context.Context, app, worker string) (*corev1.Pod, error) {
	pods, err := podsOf(ctx, b.client, Target{Namespace: space, App: app, Worker: worker})
	if err != nil {
		return nil, err
	}
	if len(pods) != 1 {
		return nil, fmt.Errorf("%d pods of %s on %s, want 1", len(pods), app, worker)
	}
	return &pods[0], nil
}

// podPID is a process in the pod, and so in its network.
func (b *bench) podPID(ctx context.Context, app, worker string) (int, error) {
	pod, err := b.pod(ctx, app, worker)
	if err != nil {
		return 0, err
	}
	top, err := workerCgroup(Target{Cluster: b.c, Worker: worker}, cgroupMounts, "memory")
	if err != nil {
		return 0, err
	}
	for _, c := range runningIn([]corev1.Pod{*pod}) {
		dir, err := cgroupOf(top, c.id)
		if err != nil {
			return 0, err
		}
		ids, err := processesIn(dir)
		if err != nil {
			return 0, err
		}
		if len(ids) > 0 {
			return ids[0], nil
		}
	}
	return 0, fmt.Errorf("no process of %s runs on %s", app, worker)
}

// ready says why a node or one of the test's pods on it is not Ready.
func (b *bench) ready(ctx context.Context, worker string) string {
	node, err := b.client.CoreV1().Nodes().Get(ctx, worker, metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	for _, cond := range node.Status.Conditions {
		if cond.Type == corev1.NodeReady && cond.Status != corev1.ConditionTrue {
			return worker + ": Ready is " + string(cond.Status)
		}
	}
	if node.Spec.Unschedulable {
		return worker + " is cordoned"
	}
	for _, app := range []string{looker, beside} {
		pod, err := b.pod(ctx, app, worker)
		if err != nil {
			return err.Error()
		}
		for _, cond := range pod.Status.Conditions {
			if cond.Type == corev1.PodReady && cond.Status != corev1.ConditionTrue {
				return fmt.Sprintf("pod %s of %s: Ready is %s", pod.Name, worker, cond.Status)
			}
		}
		if pod.Status.PodIP == "" {
			return "pod " + pod.Name + " has no address"
		}
	}
	return ""
}

// renewed is when a worker last renewed its node lease.
func (b *bench) renewed(t *testing.T, worker string) time.Time {
	t.Helper()
	lease, err := b.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(t.Context(), worker, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return lease.Spec.RenewTime.Time
}

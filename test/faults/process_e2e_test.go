//go:build e2e

package faults

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// answers asks a pod for its health.
func (b *bench) answers(ctx context.Context, app, worker string) error {
	pod, err := b.pod(ctx, app, worker)
	if err != nil {
		return err
	}
	return answersAt(ctx, pod.Status.PodIP)
}

func answersAt(ctx context.Context, ip string) error {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s:%d/health", ip, healthz), nil)
	if err != nil {
		return err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// othersAnswer fails the test unless the pods answer that the fault is not aimed at.
func (b *bench) othersAnswer(t *testing.T) {
	t.Helper()
	for _, other := range [][2]string{{looker, sick}, {beside, well}, {looker, well}} {
		if err := b.answers(t.Context(), other[0], other[1]); err != nil {
			t.Errorf("%s on %s: %v", other[0], other[1], err)
		}
	}
}

func (b *bench) processPaused(t *testing.T) {
	before := b.status(t, beside, sick)
	_, heal := b.inject(t, "process-paused")

	if err := b.answers(t.Context(), beside, sick); err == nil || !strings.Contains(err.Error(), "deadline exceeded") {
		t.Errorf("the paused pod: %v, want no answer", err)
	}
	// The kernel still takes connections for it.
	b.unreachable(t)
	b.othersAnswer(t)
	eventually(t, quietFor, func(ctx context.Context) string {
		if b.ready(ctx, sick) == "" {
			return "the paused pod is Ready"
		}
		return ""
	})

	heal()
	if err := b.answers(t.Context(), beside, sick); err != nil {
		t.Errorf("the resumed pod: %v", err)
	}
	if after := b.status(t, beside, sick); after.ContainerID != before.ContainerID {
		t.Errorf("container %s was replaced by %s", before.ContainerID, after.ContainerID)
	}
	b.healthy(t)
}

// status is that of the only container of a daemon's pod.
func (b *bench) status(t *testing.T, app, worker string) corev1.ContainerStatus {
	t.Helper()
	pod, err := b.pod(t.Context(), app, worker)
	if err != nil {
		t.Fatal(err)
	}
	if len(pod.Status.ContainerStatuses) != 1 {
		t.Fatalf("pod %s has %d container statuses", pod.Name, len(pod.Status.ContainerStatuses))
	}
	return pod.Status.ContainerStatuses[0]
}

func (b *bench) oomKilled(t *testing.T) {
	before := b.status(t, beside, sick).RestartCount
	others := map[[2]string]int32{}
	for _, other := range [][2]string{{looker, sick}, {beside, well}, {looker, well}} {
		others[other] = b.status(t, other[0], other[1]).RestartCount
	}

	_, heal := b.inject(t, "oom-killed")
	// Again and again: the back-off is 10 s after the first restart.
	eventually(t, 2*time.Minute, func(context.Context) string {
		status := b.status(t, beside, sick)
		if status.LastTerminationState.Terminated == nil || status.RestartCount < before+2 {
			return fmt.Sprintf("%d restarts, want %d", status.RestartCount, before+2)
		}
		return ""
	})
	if ended := b.status(t, beside, sick).LastTerminationState.Terminated; ended.Reason != "OOMKilled" || ended.ExitCode != 137 {
		t.Errorf("it ended as %s with %d, want OOMKilled with 137", ended.Reason, ended.ExitCode)
	}
	b.othersAnswer(t)
	for other, want := range others {
		if got := b.status(t, other[0], other[1]).RestartCount; got != want {
			t.Errorf("%s on %s was started %d times more", other[0], other[1], got-want)
		}
	}

	heal()
	// It comes back when its back-off is over, and stays.
	b.healthy(t)
	id := b.status(t, beside, sick).ContainerID
	eventually(t, quietFor, func(ctx context.Context) string {
		running := b.status(t, beside, sick).State.Running
		if running == nil {
			t.Fatal("the container ended again after Heal")
		}
		if alive := time.Since(running.StartedAt.Time); alive < 8*time.Second {
			return fmt.Sprintf("alive for %s only", alive)
		}
		return ""
	})
	if now := b.status(t, beside, sick).ContainerID; now != id {
		t.Errorf("container %s was replaced by %s after Heal", id, now)
	}
	b.healsAlone(t)
}

// healsAlone shows that Heal gives a running container its limit back, also without
// the process that took it.
func (b *bench) healsAlone(t *testing.T) {
	t.Helper()
	target := Target{Cluster: b.c, Worker: sick, Namespace: space, App: beside}
	top, err := workerCgroup(target, cgroupMounts, "memory")
	if err != nil {
		t.Fatal(err)
	}
	_, id, _ := strings.Cut(b.status(t, beside, sick).ContainerID, "://")
	dir, err := cgroupOf(top, id)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeNumber(dir, limitFile, memoryLimit/2); err != nil {
		t.Fatal(err)
	}
	f, err := Named("oom-killed")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Heal(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	if got, err := readNumber(dir, limitFile); err != nil || got != memoryLimit {
		t.Errorf("the limit is %d, %v after Heal, want %d", got, err, memoryLimit)
	}
}

func (b *bench) kubeletDead(t *testing.T) {
	_, heal := b.inject(t, "kubelet-dead")
	const refused = ": connect: connection refused"
	for _, broken := range b.broken(t.Context()) {
		if !strings.HasPrefix(broken, podToKubelet) && !strings.HasPrefix(broken, hostToKubelet) || !strings.HasSuffix(broken, refused) {
			t.Errorf("does not work: %s", broken)
		}
	}
	if got := len(b.broken(t.Context())); got != 2 {
		t.Errorf("%d ways to the kubelet do not work, want 2", got)
	}
	b.othersAnswer(t)
	if err := b.answers(t.Context(), beside, sick); err != nil {
		t.Errorf("a pod without its kubelet: %v", err)
	}
	// By now the API server has stored what was under way.
	before := b.renewed(t, sick)
	b.turnsNotReady(t)
	if got := b.renewed(t, sick); !got.Equal(before) {
		t.Errorf("the lease was renewed at %s, after %s", got, before)
	}
	id := b.status(t, beside, sick).ContainerID
	heal()
	b.healthy(t)
	if now := b.status(t, beside, sick).ContainerID; now != id {
		t.Errorf("container %s was replaced by %s", id, now)
	}
}

func (b *bench) workerDrained(t *testing.T) {
	b.deployMovers(t)
	_, heal := b.inject(t, "worker-drained")

	node, err := b.client.CoreV1().Nodes().Get(t.Context(), sick, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !node.Spec.Unschedulable {
		t.Error("the worker is not cordoned")
	}
	eventually(t, time.Minute, func(ctx context.Context) string { return b.movers(ctx, false) })
	b.unreachable(t) // the worker itself is well
	b.staysReadyCordoned(t)

	heal()
	b.healthy(t)
	if err := b.client.AppsV1().Deployments(space).Delete(t.Context(), "mover", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/test/drill/record"
)

const (
	// logTail is how many lines of a log are kept, and maxLine how many bytes of each.
	logTail = 12
	maxLine = 400
)

// formerLog is the end of the log of a pod's container that ended last.
func formerLog(ctx context.Context, logs kubernetes.Interface, pod *corev1.Pod) ([]string, error) {
	tail := int64(logTail)
	stream, err := logs.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Previous: true, TailLines: &tail}).Stream(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the former log of pod %s: %w", pod.Name, err)
	}
	defer func() { _ = stream.Close() }()
	content, err := io.ReadAll(io.LimitReader(stream, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("reading the former log of pod %s: %w", pod.Name, err)
	}
	var lines []string
	for line := range strings.Lines(string(content)) {
		line = strings.TrimRight(line, "\n")
		if len(line) > maxLine {
			line = strings.ToValidUTF8(line[:maxLine], "") + "…"
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func podRecord(pod *corev1.Pod, before []corev1.Pod, log []string) record.Pod {
	out := record.Pod{
		Name: pod.Name, Node: pod.Spec.NodeName, Log: log,
		Restarts: restartsOf(pod) - restartsBefore(before, pod.UID),
	}
	for _, c := range pod.Status.ContainerStatuses {
		if c.State.Waiting != nil {
			out.Waiting = c.State.Waiting.Reason
		}
		ended := c.LastTerminationState.Terminated
		if c.State.Terminated != nil {
			ended = c.State.Terminated
		}
		// One that ended before the fault tells nothing of it.
		if ended != nil && (out.Restarts > 0 || c.State.Terminated != nil) {
			out.Ended = fmt.Sprintf("%s, exit code %d", ended.Reason, ended.ExitCode)
		}
	}
	return out
}

func restartsOf(pod *corev1.Pod) int32 {
	var sum int32
	for _, c := range pod.Status.ContainerStatuses {
		sum += c.RestartCount
	}
	return sum
}

func restartsBefore(before []corev1.Pod, uid types.UID) int32 {
	for i := range before {
		if before[i].UID == uid {
			return restartsOf(&before[i])
		}
	}
	return 0
}

// movedFrom says whether there is a pod on another worker that was not there before.
func movedFrom(worker string, before, after []corev1.Pod) bool {
	return slices.ContainsFunc(after, func(pod corev1.Pod) bool {
		fresh := !slices.ContainsFunc(before, func(b corev1.Pod) bool { return b.UID == pod.UID })
		return fresh && pod.Spec.NodeName != "" && pod.Spec.NodeName != worker
	})
}

// placement is where the pods of Flux, of Mainstay and of cluster DNS are, and which
// of them hold a Lease.
func placement(ctx context.Context, c client.Client) ([]record.Place, error) {
	var places []record.Place
	for _, where := range []struct {
		namespace string
		labels    client.MatchingLabels
	}{
		{fluxNamespace, nil},
		{mainstayNamespace, nil},
		{"kube-system", client.MatchingLabels{"k8s-app": "kube-dns"}},
	} {
		var pods corev1.PodList
		if err := c.List(ctx, &pods, client.InNamespace(where.namespace), where.labels); err != nil {
			return nil, fmt.Errorf("listing the pods of %s: %w", where.namespace, err)
		}
		var leases coordinationv1.LeaseList
		if err := c.List(ctx, &leases, client.InNamespace(where.namespace)); err != nil {
			return nil, fmt.Errorf("listing the leases of %s: %w", where.namespace, err)
		}
		for i := range pods.Items {
			pod := &pods.Items[i]
			places = append(places, record.Place{
				Pod: pod.Name, Node: pod.Spec.NodeName,
				Leads: slices.ContainsFunc(leases.Items, func(l coordinationv1.Lease) bool {
					return holds(l.Spec.HolderIdentity, pod.Name)
				}),
			})
		}
	}
	return places, nil
}

// holds says whether a holder identity is a pod's: its name, alone or with a suffix.
func holds(identity *string, pod string) bool {
	return identity != nil && (*identity == pod || strings.HasPrefix(*identity, pod+"_"))
}

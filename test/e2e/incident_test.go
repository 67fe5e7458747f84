//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/test/faults"
)

const (
	// crashLine is what a controller says in the end that cannot reach the Service of
	// the API server. client-go waits 30 s for the connection.
	crashLine = "dial tcp 10.96.0.1:443: i/o timeout"
	// crashWithin is how long that takes at most: 30 s to lose the lease, the exit,
	// and one more start that ends with the line.
	crashWithin = 4 * time.Minute
	// staysFor is for how long after the crash nothing may change.
	staysFor = 45 * time.Second
)

// incident reproduces what this project exists for, on Flux as it is released: the
// ClusterIP datapath of kustomize-controller's worker breaks, the Node stays Ready,
// the controller crash-loops where it is, and its Kustomization says that all is well.
func (s *suite) incident(t *testing.T) {
	ctx := t.Context()
	const controller, worker = "kustomize-controller", "worker-1"
	if err := s.flux.Place(ctx, controller, worker); err != nil {
		t.Fatal(err)
	}
	if err := s.flux.Steady(ctx); err != nil {
		t.Fatal(err)
	}
	before := s.pod(t, controller)
	if before.Spec.NodeName != worker {
		t.Fatalf("%s is on %s, want %s", before.Name, before.Spec.NodeName, worker)
	}
	s.commit(t, "before")
	s.awaitLive(t, "before", time.Minute)
	// What it applied is live a moment before it says so.
	var applied string
	eventually(t, time.Minute, "the Kustomization says what it applied", func(ctx context.Context) (bool, string) {
		status, message, err := kustomizationSays(ctx, s.client, s.tracked)
		if err != nil {
			return false, err.Error()
		}
		applied = message
		return status == "True", message
	})

	fault, err := faults.Named("clusterip-broken")
	if err != nil {
		t.Fatal(err)
	}
	target := faults.Target{Cluster: s.cluster, Worker: worker, Namespace: fluxNamespace, App: controller}
	heal := func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if err := fault.Heal(ctx, target); err != nil {
			t.Error(err)
		}
	}
	if err := fault.Inject(ctx, target); err != nil {
		heal()
		t.Fatal(err)
	}
	healed := false
	defer func() {
		if !healed {
			heal()
		}
	}()
	s.commit(t, "after")

	eventually(t, crashWithin, "the crash loop's former log has the incident's line", func(ctx context.Context) (bool, string) {
		log, err := s.cluster.Kubectl(ctx, "-n", fluxNamespace, "logs", before.Name, "--previous", "--tail=20")
		if err != nil {
			return false, err.Error()
		}
		for line := range strings.Lines(log) {
			if strings.Contains(line, crashLine) {
				return true, strings.TrimSpace(line)
			}
		}
		return false, log
	})
	stays, cancel := context.WithTimeout(ctx, staysFor)
	defer cancel()
	ticker := time.NewTicker(2 * time.Second)
	defer ticker.Stop()
	for stays.Err() == nil {
		s.nothingMoved(t, before, applied)
		select {
		case <-stays.Done():
		case <-ticker.C:
		}
	}

	heal()
	healed = true
	if err := s.flux.Steady(ctx); err != nil {
		t.Fatal(err)
	}
	s.awaitLive(t, "after", 2*time.Minute)
}

// nothingMoved checks that the Node is Ready, the pod where it was, and that the
// Kustomization says Ready of the old revision.
func (s *suite) nothingMoved(t *testing.T, before corev1.Pod, applied string) {
	t.Helper()
	ctx := t.Context()
	var node corev1.Node
	if err := s.client.Get(ctx, types.NamespacedName{Name: before.Spec.NodeName}, &node); err != nil {
		t.Fatal(err)
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue {
			t.Fatalf("Node %s says Ready=%s: %s, want True", node.Name, c.Status, c.Message)
		}
	}
	now := s.pod(t, before.Labels["app"])
	if now.UID != before.UID || now.Spec.NodeName != before.Spec.NodeName {
		t.Fatalf("pod %s on %s was replaced by %s on %s, want it to stay", before.Name, before.Spec.NodeName, now.Name, now.Spec.NodeName)
	}
	if now.Status.ContainerStatuses[0].RestartCount == before.Status.ContainerStatuses[0].RestartCount {
		t.Fatalf("pod %s was not restarted", now.Name)
	}
	status, message, err := kustomizationSays(ctx, s.client, s.tracked)
	if err != nil {
		t.Fatal(err)
	}
	if status != "True" || message != applied {
		t.Fatalf("Kustomization %s says Ready=%s, %s; want True, %s", s.tracked, status, message, applied)
	}
	if got := s.live(t); got != "before" {
		t.Fatalf("commit %q is live, want %q", got, "before")
	}
}

// pod is the only pod of a controller.
func (s *suite) pod(t *testing.T, controller string) corev1.Pod {
	t.Helper()
	var pods corev1.PodList
	if err := s.client.List(t.Context(), &pods, client.InNamespace(fluxNamespace), client.MatchingLabels{"app": controller}); err != nil {
		t.Fatal(err)
	}
	if len(pods.Items) != 1 || len(pods.Items[0].Status.ContainerStatuses) != 1 {
		t.Fatalf("%d pods of %s, want 1 with one container", len(pods.Items), controller)
	}
	return pods.Items[0]
}

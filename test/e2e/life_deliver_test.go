//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/test/e2e/gitops"
)

const (
	// deliveredWithin is how long a commit of the package may take until all of it runs.
	deliveredWithin = 90 * time.Second
	// leaseName is that of Mainstay's Lease, and vacancyLimit how long nobody leads after
	// a leader let go: 2.2 retry periods of 2 s (docs/leadership.md).
	leaseName    = "mainstay"
	vacancyLimit = 4400 * time.Millisecond
	// vacancySlack is for the requests of a takeover, on a machine that has other work. A
	// lease that is lost takes 15 s.
	vacancySlack = 4 * time.Second
)

// deliver makes a change in the project's repository, and waits until Flux has applied
// it and the image runs. On the way no Kustomization may fail, for however short a
// time, and nobody may lead for no longer than a takeover takes.
func (s *suite) deliver(t *testing.T, image string, change func(context.Context) (revision string, err error)) {
	t.Helper()
	kustomizations := s.follow(t, "kustomize.toolkit.fluxcd.io/v1", "Kustomization", fluxNamespace)
	leases := s.follow(t, "coordination.k8s.io/v1", "Lease", gitops.Namespace)
	revision, err := change(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{gitops.Program, gitops.Rules} {
		eventually(t, deliveredWithin, "Kustomization "+name+" has applied the commit", func(context.Context) (bool, string) {
			return applied(kustomizations.latest(t, name), revision)
		})
	}
	eventually(t, runsWithin, "every replica runs the image, and one leads", func(ctx context.Context) (bool, string) {
		return s.runs(ctx, image, leases.latest(t, leaseName))
	})
	s.mainstayRuns(t)

	if failed := failed(kustomizations.read(t)); len(failed) > 0 {
		t.Errorf("Kustomizations failed:\n%s", strings.Join(failed, "\n"))
	}
	for _, v := range vacancies(leases.read(t)) {
		if v.released && v.lasted <= vacancyLimit+vacancySlack {
			t.Logf("%s", v)
			continue
		}
		t.Errorf("%s; want it released, and another to lead within %s", v, vacancyLimit)
	}
}

// applied tells whether a Kustomization is Ready with a revision.
func applied(kustomization *unstructured.Unstructured, revision string) (bool, string) {
	if kustomization == nil {
		return false, "no such Kustomization"
	}
	last, _, _ := unstructured.NestedString(kustomization.Object, "status", "lastAppliedRevision")
	status, reason, message := condition(kustomization, "Ready")
	return status == "True" && strings.HasSuffix(last, ":"+revision), fmt.Sprintf("%s, Ready=%s, %s: %s", last, status, reason, message)
}

// failed are the versions of Kustomizations that say that something went wrong. One
// that waits for another to apply the same commit says so with Ready=False too.
func failed(versions []*unstructured.Unstructured) []string {
	var said []string
	for _, version := range versions {
		status, reason, message := condition(version, "Ready")
		if status == "False" && reason != "DependencyNotReady" {
			said = append(said, fmt.Sprintf("%s: %s: %s", version.GetName(), reason, message))
		}
	}
	return slices.Compact(said)
}

// runs tells whether all pods of Mainstay have an image, and one of them leads.
func (s *suite) runs(ctx context.Context, image string, lease *unstructured.Unstructured) (bool, string) {
	var pods corev1.PodList
	if err := s.client.List(ctx, &pods, client.InNamespace(gitops.Namespace)); err != nil {
		return false, err.Error()
	}
	holder, leads := holderOf(lease), false
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.Spec.Containers[0].Image != image {
			return false, "pod " + pod.Name + " runs " + pod.Spec.Containers[0].Image
		}
		leads = leads || pod.Name == holder
	}
	return leads, fmt.Sprintf("%d pods run %s, %q leads", len(pods.Items), image, holder)
}

func TestFailed(t *testing.T) {
	t.Parallel()
	var versions []*unstructured.Unstructured
	for _, c := range [][3]any{
		{"True", "ReconciliationSucceeded", "a"},
		{"Unknown", "Progressing", "b"},
		{"False", "DependencyNotReady", "c"},
		{"False", "ReconciliationFailed", "d"},
		{"False", "ReconciliationFailed", "d"},
		{"True", "ReconciliationSucceeded", "e"},
	} {
		version := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{
			"conditions": []any{map[string]any{"type": "Ready", "status": c[0], "reason": c[1], "message": c[2]}},
		}}}
		version.SetName("rules")
		versions = append(versions, version)
	}
	if diff := cmp.Diff([]string{"rules: ReconciliationFailed: d"}, failed(versions)); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
}

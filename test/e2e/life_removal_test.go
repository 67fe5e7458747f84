//go:build e2e

package e2e

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mainstay-dev/mainstay/test/e2e/gitops"
)

// removal is a way to get rid of Mainstay.
type removal struct {
	name   string
	remove func(t *testing.T)
}

// removals are the orders in which the parts of Mainstay can go. While it is in parts
// too, new Deployments run.
func (s *suite) removals() []removal {
	return []removal{
		{"removed from Git", s.removeFromGit},
		{"removed with its namespace first", func(t *testing.T) {
			t.Helper()
			s.kubectl(t, "delete", "namespace", gitops.Namespace)
			s.deploymentRuns(t)
			s.removeFromGit(t)
		}},
		{"removed with its CRDs first", func(t *testing.T) {
			t.Helper()
			s.kubectl(t, "delete", "customresourcedefinitions", "-l", "app.kubernetes.io/part-of=mainstay")
			s.deploymentRuns(t)
			s.removeFromGit(t)
		}},
		{"removed by hand, with Flux suspended", s.removeByHand},
	}
}

// removedAndBack removes Mainstay and installs it again at once.
func (s *suite) removedAndBack(t *testing.T, remove func(t *testing.T)) {
	t.Helper()
	began := time.Now()
	remove(t)
	s.nothingLeft(t)
	t.Logf("removed after %.1f s", time.Since(began).Seconds())
	s.deploymentRuns(t)
	s.commit(t, "after "+t.Name())
	s.awaitLive(t, "after "+t.Name(), time.Minute)

	if err := s.repos.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{gitops.Program, gitops.Rules} {
		s.awaitKustomization(t, name, 2*time.Minute, func(status, _ string) bool { return status == "True" })
	}
	s.use(t)
}

func (s *suite) removeFromGit(t *testing.T) {
	t.Helper()
	if err := s.repos.Uninstall(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// removeByHand removes what Flux applied, while it is suspended, and then what has Flux
// apply it.
func (s *suite) removeByHand(t *testing.T) {
	t.Helper()
	kustomizations := []string{gitops.User, gitops.Program, gitops.Rules}
	suspend := func(name, suspended string) {
		s.kubectl(t, "-n", fluxNamespace, "patch", "kustomizations.kustomize.toolkit.fluxcd.io", name,
			"--type", "merge", "-p", `{"spec":{"suspend":`+suspended+`}}`)
	}
	for _, name := range kustomizations {
		suspend(name, "true")
	}
	for _, folder := range []string{"rules", "base"} {
		s.kubectl(t, "delete", "--ignore-not-found", "-k", filepath.Join(s.root, "manifests", folder))
	}
	s.deploymentRuns(t)
	s.kubectl(t, "-n", fluxNamespace, "delete", "kustomizations.kustomize.toolkit.fluxcd.io", gitops.Rules, gitops.Program)
	s.kubectl(t, "-n", fluxNamespace, "delete", "gitrepositories.source.toolkit.fluxcd.io", gitops.Program)
	s.removeFromGit(t)
	// Resumed before that is fetched, Flux would install what was removed.
	eventually(t, time.Minute, "the removal is fetched", func(ctx context.Context) (bool, string) {
		repository, err := get(ctx, s.client, "source.toolkit.fluxcd.io/v1", "GitRepository", fluxNamespace, gitops.User)
		if err != nil {
			return false, err.Error()
		}
		revision, _, _ := unstructured.NestedString(repository.Object, "status", "artifact", "revision")
		return strings.HasSuffix(revision, ":"+s.repos.User.Head()), revision
	})
	suspend(gitops.User, "false")
}

// kubectl does what somebody does by hand.
func (s *suite) kubectl(t *testing.T, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), goneWithin)
	defer cancel()
	began := time.Now()
	if _, err := s.cluster.Kubectl(ctx, args...); err != nil {
		t.Fatal(err)
	}
	t.Logf("kubectl %s: %.1f s", args, time.Since(began).Seconds())
}

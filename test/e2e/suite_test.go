//go:build e2e

package e2e

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/cluster"
	"github.com/mainstay-dev/mainstay/test/cluster/tools"
	"github.com/mainstay-dev/mainstay/test/e2e/gitops"
	"github.com/mainstay-dev/mainstay/test/fluxrun"
	"github.com/mainstay-dev/mainstay/test/gitserver"
	"github.com/mainstay-dev/mainstay/test/images"
)

const (
	fluxNamespace = "flux-system"
	// prompt is a component that has Flux look every 2 s whether what a Kustomization depends
	// on is Ready, and not every 30 s.
	prompt = "test/e2e/testdata/flux"
)

// suite is a cluster with Flux, and a repository whose one ConfigMap Flux applies.
type suite struct {
	cluster *cluster.Cluster
	client  client.Client
	git     *gitserver.Server
	flux    *fluxrun.Flux
	images  map[string]images.Image
	root    string
	// tracked is the Kustomization that applies repo.
	tracked string
	repo    *gitserver.Repo
	repos   *gitops.Repositories
}

// start starts a cluster with Flux, and stops it with the test.
func start(t *testing.T, options fluxrun.Options, others ...string) *suite {
	t.Helper()
	ctx := t.Context()
	root, err := tools.Root()
	if err != nil {
		t.Fatal(err)
	}
	names := append(options.Images(), others...)
	built, err := images.Build(ctx, os.Stderr, names...)
	if err != nil {
		t.Fatal(err)
	}
	var archives []string
	for _, name := range names {
		archives = append(archives, built[name].Archive)
	}
	began := time.Now()
	s := &suite{images: built, root: root, tracked: "tracked"}
	if s.cluster, err = cluster.Start(ctx, cluster.Options{Real: true, Workers: 3, Images: archives, Out: os.Stderr}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.cluster.Stop(); err != nil {
			t.Errorf("stopping the cluster: %v", err)
		}
	})
	t.Logf("three workers are Ready after %.1f s", time.Since(began).Seconds())
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	if s.client, err = client.New(s.cluster.Config(), client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	if s.git, err = gitserver.Start(ctx, gitserver.Options{Address: s.cluster.HostIP() + ":0", Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.git.Close(); err != nil {
			t.Error(err)
		}
	})
	options.Cluster, options.Out = s.cluster, os.Stderr
	if s.flux, err = fluxrun.Install(ctx, options); err != nil {
		t.Fatal(err)
	}
	if s.repo, err = s.git.Create(ctx, s.tracked); err != nil {
		t.Fatal(err)
	}
	s.commit(t, "first")
	if err := s.flux.Sync(ctx, fluxrun.SyncOptions{Name: s.tracked, URL: s.repo.URL(), Path: "objects", Prune: true}); err != nil {
		t.Fatal(err)
	}
	s.awaitLive(t, "first", time.Minute)
	t.Logf("Flux applied the first commit after %.1f s", (time.Since(began) - s.cluster.Stocking()).Seconds())
	return s
}

// commit changes the ConfigMap in Git.
func (s *suite) commit(t *testing.T, value string) {
	t.Helper()
	manifest := "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: tracked\n  namespace: default\ndata:\n  value: " + value + "\n"
	if _, err := s.repo.Commit(t.Context(), "Set "+value, map[string][]byte{"objects/tracked.yaml": []byte(manifest)}); err != nil {
		t.Fatal(err)
	}
}

// live is the value that the cluster has, empty when it has none.
func (s *suite) live(t *testing.T) string {
	t.Helper()
	var object corev1.ConfigMap
	err := s.client.Get(t.Context(), types.NamespacedName{Namespace: "default", Name: "tracked"}, &object)
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	return object.Data["value"]
}

func (s *suite) awaitLive(t *testing.T, value string, limit time.Duration) {
	t.Helper()
	eventually(t, limit, "commit "+value+" is live", func(ctx context.Context) (bool, string) {
		var object corev1.ConfigMap
		if err := s.client.Get(ctx, types.NamespacedName{Namespace: "default", Name: "tracked"}, &object); err != nil {
			return false, err.Error()
		}
		return object.Data["value"] == value, object.Data["value"]
	})
}

// patch has Flux run with the patches of this project.
func (s *suite) patch(t *testing.T) {
	ctx := t.Context()
	var err error
	s.flux, err = fluxrun.Install(ctx, fluxrun.Options{Cluster: s.cluster, Components: []string{"patches/flux-ha", prompt}, Out: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	s.commit(t, "with the patches")
	s.awaitLive(t, "with the patches", time.Minute)
}

// install applies the two objects that point at Git, and nothing else.
func (s *suite) install(t *testing.T) {
	ctx := t.Context()
	var err error
	if s.repos, err = gitops.Create(ctx, s.git, s.root, 2*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := s.flux.Sync(ctx, s.repos.Sync()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{gitops.Program, gitops.Rules} {
		s.awaitKustomization(t, name, 3*time.Minute, func(status, _ string) bool { return status == "True" })
	}
	s.mainstayRuns(t)
}

// projectFile reads a file of the working tree.
func (s *suite) projectFile(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(s.root, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

//go:build e2e

package fluxrun_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/mainstay-dev/mainstay/test/cluster"
	"github.com/mainstay-dev/mainstay/test/fluxrun"
	"github.com/mainstay-dev/mainstay/test/gitserver"
	"github.com/mainstay-dev/mainstay/test/images"
	"github.com/mainstay-dev/mainstay/test/stall"
)

// setUp starts three real workers that have the images for Flux, and a Git server that
// they reach.
func setUp(t *testing.T, opts fluxrun.Options) (*cluster.Cluster, *gitserver.Repo) {
	t.Helper()
	built, err := images.Build(t.Context(), t.Output(), opts.Images()...)
	if err != nil {
		t.Fatal(err)
	}
	var archives []string
	for _, image := range built {
		archives = append(archives, image.Archive)
	}
	slices.Sort(archives)
	began := time.Now()
	c, err := cluster.Start(t.Context(), cluster.Options{Real: true, Workers: 3, Images: archives, Out: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Errorf("stopping the cluster: %v", err)
		}
	})
	t.Logf("three workers are Ready after %s", time.Since(began).Round(100*time.Millisecond))
	server, err := gitserver.Start(t.Context(), gitserver.Options{Address: c.HostIP() + ":0", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	repo, err := server.Create(t.Context(), "fleet")
	if err != nil {
		t.Fatal(err)
	}
	return c, repo
}

// follow has Flux apply the folder meter of a repository, to which a meter commits.
func follow(t *testing.T, c *cluster.Cluster, f *fluxrun.Flux, repo *gitserver.Repo) *stall.Meter {
	t.Helper()
	meter, err := stall.Start(t.Context(), stall.Options{Config: c.Config(), Repo: repo, Path: "meter/meter.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(meter.Stop)
	if err := f.Sync(t.Context(), fluxrun.SyncOptions{Name: "meter", URL: repo.URL(), Path: "meter", RetryInterval: 5 * time.Second}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := meter.AwaitLive(ctx); err != nil {
		t.Fatal(err)
	}
	return meter
}

// healthy checks that every commit of a while is live soon.
func healthy(t *testing.T, meter *stall.Meter) {
	t.Helper()
	const span = 12 * time.Second
	from := meter.Now()
	if recovered, err := meter.AwaitRecovery(t.Context(), from+span, span); err != nil || !recovered {
		t.Fatalf("a commit after %s: live = %v, %v", span, recovered, err)
	}
	lag := stall.LagOf(meter.Samples(), from, from+span, meter.Now())
	t.Logf("of %d commits %d are live; lag: median %s, max %s", lag.Commits, lag.Live, lag.Median, lag.Max)
	if lag.Commits < 5 || lag.Live != lag.Commits {
		t.Errorf("of %d commits %d are live, want all of at least 5", lag.Commits, lag.Live)
	}
	if limit := 30 * time.Second; lag.Max.Duration() > limit {
		t.Errorf("the slowest commit took %s, want less than %s", lag.Max, limit)
	}
}

func TestStockFlux(t *testing.T) {
	t.Parallel()
	opts := fluxrun.Options{Out: t.Output()}
	began := time.Now()
	c, repo := setUp(t, opts)
	opts.Cluster = c
	f, err := fluxrun.Install(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	meter := follow(t, c, f, repo)
	t.Logf("the first commit is live %s after the start", time.Since(began).Round(100*time.Millisecond))
	healthy(t, meter)
	steady(t, f)

	for _, controller := range []string{images.KustomizeController, images.SourceController} {
		for _, worker := range []string{"worker-3", "worker-1"} {
			place(t, c, f, controller, worker)
		}
	}
	steady(t, f)

	_, err = repo.AddDir(t.Context(), "Add a folder", "more", fstest.MapFS{"cm.yaml": {
		Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more, namespace: default}\n"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(t.Context(), fluxrun.SyncOptions{Name: "more", Source: "meter", Path: "more", DependsOn: []string{"meter"}, RetryInterval: time.Second}); err != nil {
		t.Fatal(err)
	}
	meter.Stop()
	if err := f.AwaitApplied(t.Context(), "more", repo.Head()); err != nil {
		t.Fatal(err)
	}
}

func steady(t *testing.T, f *fluxrun.Flux) {
	t.Helper()
	began := time.Now()
	if err := f.Steady(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("steady after %s", time.Since(began).Round(100*time.Millisecond))
}

// place checks that a leader moves, and that no node is left cordoned.
func place(t *testing.T, c *cluster.Cluster, f *fluxrun.Flux, controller, worker string) {
	t.Helper()
	began := time.Now()
	if err := f.Place(t.Context(), controller, worker); err != nil {
		t.Fatal(err)
	}
	pod, node, err := f.Leader(t.Context(), controller)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s leads %s on %s after %s", pod, controller, node, time.Since(began).Round(100*time.Millisecond))
	if node != worker {
		t.Errorf("%s leads on %s, want %s", controller, node, worker)
	}
	client, err := kubernetes.NewForConfig(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes.Items {
		if n.Spec.Unschedulable || len(n.Spec.Taints) > 0 {
			t.Errorf("%s is left with unschedulable=%v and taints %v", n.Name, n.Spec.Unschedulable, n.Spec.Taints)
		}
	}
}

func TestPatchedFlux(t *testing.T) {
	t.Parallel()
	opts := fluxrun.Options{Out: t.Output(), Components: []string{"patches/flux-ha"}}
	c, repo := setUp(t, opts)
	opts.Cluster = c
	f, err := fluxrun.Install(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	healthy(t, follow(t, c, f, repo))
	for _, worker := range []string{"worker-2", "worker-3", "worker-1"} {
		place(t, c, f, images.KustomizeController, worker)
		pods, err := f.Pods(t.Context(), images.KustomizeController)
		if err != nil {
			t.Fatal(err)
		}
		if len(pods) != 2 || pods[0].Spec.NodeName == pods[1].Spec.NodeName {
			t.Errorf("with the leader on %s the replicas are on %v, want two workers", worker, nodesOf(pods))
		}
	}
	steady(t, f)
}

// An image that no worker has is told at once, by name.
func TestMissingImage(t *testing.T) {
	t.Parallel()
	opts := fluxrun.Options{Out: t.Output(), Controllers: []string{images.SourceController}}
	c, err := cluster.Start(t.Context(), cluster.Options{Real: true, Workers: 1, Out: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Errorf("stopping the cluster: %v", err)
		}
	})
	opts.Cluster = c
	began := time.Now()
	_, err = fluxrun.Install(t.Context(), opts)
	t.Logf("after %s: %v", time.Since(began).Round(100*time.Millisecond), err)
	if err == nil || !strings.Contains(err.Error(), "is not on worker-1") {
		t.Errorf("error = %v, want that an image is missing", err)
	}
}

func nodesOf(pods []corev1.Pod) []string {
	var nodes []string
	for i := range pods {
		nodes = append(nodes, pods[i].Name+" on "+pods[i].Spec.NodeName)
	}
	return nodes
}

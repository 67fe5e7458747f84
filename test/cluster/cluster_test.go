package cluster_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mainstay-dev/mainstay/test/cluster"
)

// simulated leaves a test of simulated workers to make test, where make e2e runs the tests
// of this package too.
func simulated(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it is part of make test")
	}
}

// testOptions are those of a cluster whose workers are found out soon.
func testOptions(t *testing.T, workers int) cluster.Options {
	t.Helper()
	return cluster.Options{
		Workers:                workers,
		NodeMonitorGracePeriod: 6 * time.Second,
		NodeMonitorPeriod:      time.Second,
		Out:                    t.Output(),
	}
}

func start(t *testing.T, opts cluster.Options) *cluster.Cluster {
	t.Helper()
	began := time.Now()
	c, err := cluster.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d workers Ready after %s", opts.Workers, time.Since(began).Round(10*time.Millisecond))
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Errorf("stopping the cluster: %v", err)
		}
		if _, err := os.Stat(c.Dir()); !os.IsNotExist(err) {
			t.Errorf("the cluster's folder is left: %v", err)
		}
	})
	return c
}

func clientOf(t *testing.T, cfg *rest.Config) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// eventually waits until check returns "", and fails with its last words.
func eventually(t *testing.T, check func(ctx context.Context) string) {
	t.Helper()
	var last string
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		last = check(ctx)
		return last == "", nil
	})
	if err != nil {
		t.Fatalf("%v: %s", err, last)
	}
}

func readiness(ctx context.Context, client kubernetes.Interface, name string) string {
	node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	for _, cond := range node.Status.Conditions {
		if cond.Type == corev1.NodeReady {
			return string(cond.Status)
		}
	}
	return "absent"
}

// shared is the cluster of the subtests below.
type shared struct {
	c      *cluster.Cluster
	client kubernetes.Interface
}

// The subtests share one cluster and leave it as they found it.
func TestCluster(t *testing.T) {
	t.Parallel()
	simulated(t)
	opts := testOptions(t, 3)
	opts.Audit = true
	opts.Zones = []string{"a", "b"}
	c := start(t, opts)
	s := shared{c: c, client: clientOf(t, c.Config())}

	t.Run("workers look like nodes", s.nodes)
	t.Run("a deployment becomes ready and spreads", s.deployment)
	t.Run("rights are checked", s.rights)
	t.Run("kubectl acts as administrator", s.kubectl)
	t.Run("a worker fails and recovers", s.failure)
	t.Run("the API server goes away and comes back", s.apiServer)
	t.Run("requests are audited", s.audit)
	t.Run("one that others use is refused", s.refused)
}

func (s shared) nodes(t *testing.T) {
	if diff := cmp.Diff([]string{"worker-1", "worker-2", "worker-3"}, s.c.Workers()); diff != "" {
		t.Errorf("workers: -want +got\n%s", diff)
	}
	nodes, err := s.client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	zones := map[string]string{}
	for _, node := range nodes.Items {
		zones[node.Name] = node.Labels[corev1.LabelTopologyZone]
		if got := node.Labels[corev1.LabelHostname]; got != node.Name {
			t.Errorf("%s: hostname label %q", node.Name, got)
		}
		if got := node.Status.Allocatable.Pods().Value(); got != 110 {
			t.Errorf("%s: allocatable pods %d, want 110", node.Name, got)
		}
		if got := node.Status.NodeInfo.KubeletVersion; !strings.HasPrefix(got, "v1.36.") {
			t.Errorf("%s: kubelet version %q", node.Name, got)
		}
	}
	if diff := cmp.Diff(map[string]string{"worker-1": "a", "worker-2": "b", "worker-3": "a"}, zones); diff != "" {
		t.Errorf("zones: -want +got\n%s", diff)
	}
}

// deployment has three replicas that prefer nodes of their own.
func deployment(name string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	selector := &metav1.LabelSelector{MatchLabels: labels}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(3)),
			Selector: selector,
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					Containers: []corev1.Container{{Name: "main", Image: "example.com/none"}},
					TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{
						MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: selector,
					}},
				},
			},
		},
	}
}

func deploy(t *testing.T, client kubernetes.Interface, name string) {
	t.Helper()
	if _, err := client.AppsV1().Deployments("default").Create(t.Context(), deployment(name), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) string { return available(ctx, client, name, 3) })
}

func available(ctx context.Context, client kubernetes.Interface, name string, want int32) string {
	got, err := client.AppsV1().Deployments("default").Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	if got.Status.AvailableReplicas != want {
		return fmt.Sprintf("%d replicas available, want %d", got.Status.AvailableReplicas, want)
	}
	return ""
}

func (s shared) deployment(t *testing.T) {
	deploy(t, s.client, "spread")
	pods, err := s.client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{LabelSelector: "app=spread"})
	if err != nil {
		t.Fatal(err)
	}
	perNode, ips := map[string]int{}, map[string]bool{}
	for _, pod := range pods.Items {
		perNode[pod.Spec.NodeName]++
		ips[pod.Status.PodIP] = true
	}
	if diff := cmp.Diff(map[string]int{"worker-1": 1, "worker-2": 1, "worker-3": 1}, perNode); diff != "" {
		t.Errorf("pods per node: -want +got\n%s", diff)
	}
	if len(ips) != 3 {
		t.Errorf("pod IPs are not all different: %v", ips)
	}
	if err := s.client.AppsV1().Deployments("default").Delete(t.Context(), "spread", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	// The garbage collector ends the pods, the workers remove them.
	eventually(t, func(ctx context.Context) string {
		pods, err := s.client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{LabelSelector: "app=spread"})
		if err != nil {
			return err.Error()
		}
		if len(pods.Items) > 0 {
			return fmt.Sprintf("%d pods are left", len(pods.Items))
		}
		return ""
	})
}

func (s shared) rights(t *testing.T) {
	cfg, err := s.c.ConfigFor("jane", "developers")
	if err != nil {
		t.Fatal(err)
	}
	_, err = clientOf(t, cfg).CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("jane lists nodes: %v, want Forbidden", err)
	}
	if cfg, err = s.c.ConfigFor("root", "system:masters"); err != nil {
		t.Fatal(err)
	}
	if _, err := clientOf(t, cfg).CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("a member of system:masters lists nodes: %v", err)
	}
}

func (s shared) kubectl(t *testing.T) {
	got, err := s.c.Kubectl(t.Context(), "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
	if err != nil {
		t.Fatal(err)
	}
	if got != "mainstay-admin" {
		t.Errorf("kubectl acts as %q", got)
	}
	if _, err = s.c.Kubectl(t.Context(), "get", "pod", "absent"); err == nil || !strings.Contains(err.Error(), `pods "absent" not found`) {
		t.Errorf("getting an absent pod: %v, want kubectl's words", err)
	}
}

func (s shared) failure(t *testing.T) {
	const name = "worker-2"
	deploy(t, s.client, "survivor")
	renewed := func() time.Time {
		t.Helper()
		lease, err := s.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return lease.Spec.RenewTime.Time
	}
	first := renewed()
	eventually(t, func(context.Context) string {
		if renewed().Equal(first) {
			return "the lease is not renewed while the worker runs"
		}
		return ""
	})

	if err := s.c.FailWorker(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	last := renewed()
	eventually(t, func(ctx context.Context) string {
		if got := readiness(ctx, s.client, name); got != "Unknown" {
			return "Ready is " + got + ", want Unknown"
		}
		return available(ctx, s.client, "survivor", 2)
	})
	if got := renewed(); !got.Equal(last) {
		t.Errorf("the lease of a failed worker was renewed at %s after %s", got, last)
	}
	pods, err := s.client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{LabelSelector: "app=survivor", FieldSelector: "spec.nodeName=" + name})
	if err != nil {
		t.Fatal(err)
	}
	if len(pods.Items) != 1 {
		t.Errorf("%d pods on the failed worker, want the one that was there", len(pods.Items))
	}

	if err := s.c.RecoverWorker(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if got := readiness(t.Context(), s.client, name); got != "True" {
		t.Errorf("Ready is %s after recovery, want True", got)
	}
	eventually(t, func(ctx context.Context) string { return available(ctx, s.client, "survivor", 3) })

	if err := s.c.FailWorker(t.Context(), "worker-9"); err == nil || !strings.Contains(err.Error(), `no worker is named "worker-9"`) {
		t.Errorf("failing a worker that is not there: %v", err)
	}
}

func (s shared) apiServer(t *testing.T) {
	kept := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kept"}}
	if _, err := s.client.CoreV1().ConfigMaps("default").Create(t.Context(), kept, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	read := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.client.CoreV1().ConfigMaps("default").Get(ctx, "kept", metav1.GetOptions{})
		return err
	}

	if err := s.c.PauseAPIServer(); err != nil {
		t.Fatal(err)
	}
	if err := read(); err == nil {
		t.Error("a paused API server answered")
	}
	if err := s.c.ResumeAPIServer(); err != nil {
		t.Fatal(err)
	}
	if err := read(); err != nil {
		t.Errorf("a resumed API server: %v", err)
	}

	began := time.Now()
	if err := s.c.StopAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("the API server ended by itself after %s", time.Since(began).Round(10*time.Millisecond))
	if err := read(); err == nil {
		t.Error("a stopped API server answered")
	}
	if err := s.c.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := read(); err != nil {
		t.Errorf("after the API server came back: %v", err)
	}
}

func (s shared) audit(t *testing.T) {
	marked := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "marked"}}
	if _, err := s.client.CoreV1().ConfigMaps("default").Create(t.Context(), marked, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	events, err := s.c.AuditEvents()
	if err != nil {
		t.Fatal(err)
	}
	type line struct {
		User, Verb string
		Stage      auditv1.Stage
		Code       int32
	}
	var got []line
	for _, e := range events {
		if e.ObjectRef != nil && e.ObjectRef.Resource == "configmaps" && e.RequestURI == "/api/v1/namespaces/default/configmaps" && e.ObjectRef.Name == "marked" {
			got = append(got, line{e.User.Username, e.Verb, e.Stage, e.ResponseStatus.Code})
		}
	}
	if diff := cmp.Diff([]line{{"mainstay-admin", "create", auditv1.StageResponseComplete, 201}}, got); diff != "" {
		t.Errorf("audit of one create: -want +got\n%s", diff)
	}
}

func (s shared) refused(t *testing.T) {
	opts := testOptions(t, 1)
	opts.ExistingKubeconfig = s.c.Kubeconfig()
	other, err := cluster.Start(t.Context(), opts)
	if err == nil {
		t.Fatal("a cluster with live workers was taken", other.Stop())
	}
	if want := "worker-1 is run by somebody else"; !strings.Contains(err.Error(), want) {
		t.Errorf("error %q, want %q in it", err, want)
	}
}

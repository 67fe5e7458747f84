package cluster_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/test/cluster"
)

// Two clusters run at once here: a bare one, and the workers that are added to it.
func TestExistingCluster(t *testing.T) {
	t.Parallel()
	simulated(t)
	bare := start(t, testOptions(t, 0))
	client := clientOf(t, bare.Config())
	opts := testOptions(t, 1)
	opts.ExistingKubeconfig = bare.Kubeconfig()

	added, err := cluster.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if got := readiness(t.Context(), client, "worker-1"); got != "True" {
		t.Errorf("Ready of the added worker is %s, want True", got)
	}
	if err := added.StopAPIServer(t.Context()); err == nil {
		t.Error("the API server of an existing cluster was stopped")
	}
	if _, err := added.AuditEvents(); err == nil {
		t.Error("an existing cluster has an audit log")
	}
	cfg, err := added.ConfigFor("jane")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clientOf(t, cfg).CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "jane") {
		t.Errorf("jane lists nodes: %v, want Forbidden", err)
	}
	if err := added.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Nodes().Get(t.Context(), "worker-1", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the added node after Stop: %v, want NotFound", err)
	}

	real := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "real"}}
	if _, err := client.CoreV1().Nodes().Create(t.Context(), real, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	flux := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "flux-system"}}
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), flux, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	refused, err := cluster.Start(t.Context(), opts)
	if err == nil {
		t.Fatal("a cluster in use was taken", refused.Stop())
	}
	for _, want := range []string{"node real is not a simulated one", "it has a namespace flux-system"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q, want %q in it", err, want)
		}
	}
}

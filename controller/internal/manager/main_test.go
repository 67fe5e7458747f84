package manager_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlmanager "sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/manager"
	"github.com/mainstay-dev/mainstay/test/cluster"
)

const ownNamespace = "mainstay-system"

// env is a control plane with the package's manifests on it.
type env struct {
	*cluster.Cluster
	client client.Client
}

// shared is the cluster of the tests that need nothing of their own, with one
// replica of Mainstay at work on it.
var shared *env

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var err error
	shared, err = startEnv(ctx, cluster.Options{Workers: 3, Audit: true, Out: os.Stderr})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = shared.Stop() }()
	mgr, registry, err := shared.newManager(options("shared-0"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	sharedRegistry = registry
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	code := m.Run()
	if programDir != "" {
		_ = os.RemoveAll(programDir)
	}
	cancel()
	if err := <-done; err != nil {
		fmt.Fprintln(os.Stderr, "the shared manager:", err)
		return 1
	}
	return code
}

var sharedRegistry *prometheus.Registry

// startEnv starts a cluster and applies manifests/base without its Deployment:
// the tests run the program themselves, as its ServiceAccount.
func startEnv(ctx context.Context, opts cluster.Options) (*env, error) {
	c, err := cluster.Start(ctx, opts)
	if err != nil {
		return nil, err
	}
	e := &env{Cluster: c}
	scheme := runtime.NewScheme()
	err = errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme), apiextensionsv1.AddToScheme(scheme))
	if err == nil {
		cfg := c.Config()
		cfg.QPS = -1 // tests wait by asking
		e.client, err = client.New(cfg, client.Options{Scheme: scheme})
	}
	if err == nil {
		_, err = c.Kubectl(ctx, "apply", "--server-side", "-k", filepath.Join("..", "..", "..", "manifests", "base"))
	}
	if err == nil {
		_, err = c.Kubectl(ctx, "-n", ownNamespace, "delete", "deployment", "mainstay")
	}
	if err == nil {
		err = c.AwaitDefinitions(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return e, nil
}

// options are the program's own, with nothing listened on and a lease short
// enough for a test.
func options(podName string) manager.Options {
	opts := manager.Default()
	opts.PodName = podName
	opts.MetricsAddr, opts.HealthAddr, opts.WebhookAddr = "0", "0", "0"
	opts.LeaseDuration, opts.RenewDeadline, opts.RetryPeriod = 6*time.Second, 4*time.Second, 500*time.Millisecond
	opts.Log = logr.Discard()
	return opts
}

// serviceAccount is who Mainstay is in the cluster: a test that passes has
// shown that the package's rights are enough.
func (e *env) serviceAccount() (*rest.Config, error) {
	return e.ConfigFor("system:serviceaccount:"+ownNamespace+":mainstay",
		"system:serviceaccounts", "system:serviceaccounts:"+ownNamespace, "system:authenticated")
}

func (e *env) newManager(opts manager.Options) (ctrlmanager.Manager, *prometheus.Registry, error) {
	cfg, err := e.serviceAccount()
	if err != nil {
		return nil, nil, err
	}
	registry := prometheus.NewRegistry()
	opts.Registry = registry
	mgr, err := manager.New(cfg, opts)
	return mgr, registry, err
}

// replica is one running manager.
type replica struct {
	registry *prometheus.Registry
	stop     context.CancelFunc
	done     chan error
}

func (e *env) startReplica(t *testing.T, opts manager.Options) *replica {
	t.Helper()
	mgr, registry, err := e.newManager(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	r := &replica{registry: registry, stop: cancel, done: make(chan error, 1)}
	ended := make(chan struct{})
	go func() {
		r.done <- mgr.Start(ctx)
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return r
}

// namespace makes a namespace that ends with the test.
func (e *env) namespace(t *testing.T, labels map[string]string) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-", Labels: labels}}
	e.create(t, ns)
	return ns.Name
}

// create makes objects that end with the test.
func (e *env) create(t *testing.T, objs ...client.Object) {
	t.Helper()
	for _, obj := range objs {
		if err := e.client.Create(t.Context(), obj); err != nil {
			t.Fatalf("create %T %s: %v", obj, obj.GetName(), err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := e.client.Delete(ctx, obj, client.GracePeriodSeconds(0)); client.IgnoreNotFound(err) != nil {
				t.Errorf("delete %T %s: %v", obj, obj.GetName(), err)
			}
		})
	}
}

// edit changes an object as it is on the API server.
func edit[T client.Object](t *testing.T, e *env, obj T, change func(T)) {
	t.Helper()
	eventually(t, 10*time.Second, func(ctx context.Context) (bool, string) {
		if err := e.client.Get(ctx, client.ObjectKeyFromObject(obj), obj); err != nil {
			return false, err.Error()
		}
		change(obj)
		if err := e.client.Update(ctx, obj); err != nil {
			return false, err.Error()
		}
		return true, ""
	})
}

// get reads an object.
func get[T client.Object](ctx context.Context, e *env, obj T) (T, error) {
	err := e.client.Get(ctx, client.ObjectKeyFromObject(obj), obj)
	return obj, err
}

// eventually waits until check is satisfied, and fails the test with what was
// seen last otherwise.
func eventually(t *testing.T, within time.Duration, check func(ctx context.Context) (ok bool, seen string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	last := ""
	for {
		ok, seen := check(ctx)
		if ok {
			return
		}
		if ctx.Err() == nil {
			last = seen
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not within %s; seen last: %s", within, last)
		case <-ticker.C:
		}
	}
}

// kubectl runs kubectl with input.
func (e *env) apply(t *testing.T, manifest string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "manifest.yaml")
	if err := os.WriteFile(path, []byte(strings.TrimLeft(manifest, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Kubectl(t.Context(), "apply", "--server-side", "-f", path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = e.Kubectl(context.Background(), "delete", "--ignore-not-found", "--wait=false", "-f", path)
	})
}

// kubeconfig writes one for Mainstay's ServiceAccount.
func (e *env) kubeconfig(t *testing.T) string {
	t.Helper()
	cfg, err := e.serviceAccount()
	if err != nil {
		t.Fatal(err)
	}
	return writeKubeconfig(t, cfg)
}

func writeKubeconfig(t *testing.T, cfg *rest.Config) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := cluster.WriteKubeconfig(path, cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := clientcmd.LoadFromFile(path); err != nil {
		t.Fatal(err)
	}
	return path
}

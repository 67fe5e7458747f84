package certs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/test/cluster"
)

// env is a control plane with the rights of the package on it.
type env struct {
	*cluster.Cluster
	admin client.Client
}

// plane is started by the first test that needs it.
var plane = sync.OnceValues(func() (*env, error) {
	c, err := cluster.Start(context.Background(), cluster.Options{Out: os.Stderr})
	if err != nil {
		return nil, err
	}
	e := &env{Cluster: c}
	cfg := c.Config()
	cfg.QPS = -1 // tests wait by asking
	if e.admin, err = client.New(cfg, client.Options{Scheme: clientgoscheme.Scheme}); err == nil {
		err = e.admin.Create(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ownNamespace}})
	}
	if err == nil {
		_, err = c.Kubectl(context.Background(), "apply", "--server-side", "-k", filepath.Join("..", "..", "..", "manifests", "rbac"))
	}
	started = e
	return e, err
})

var started *env

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	code := m.Run()
	if started != nil {
		if err := started.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

const ownNamespace = "mainstay-system"

// replica is a Keeper at work, as Mainstay's own ServiceAccount.
type replica struct {
	*Keeper
	stop func()
}

func options() Options {
	return Options{Namespace: ownNamespace, Rotate: true, Jitter: -1, Names: []string{"127.0.0.1"}, Clock: clock.RealClock{}, Log: logr.Discard()}
}

// prepare makes a Keeper whose cache runs, without starting it.
func (e *env) prepare(t *testing.T, opts Options) *replica {
	t.Helper()
	cfg, err := e.ConfigFor("system:serviceaccount:"+ownNamespace+":mainstay",
		"system:serviceaccounts", "system:serviceaccounts:"+ownNamespace, "system:authenticated")
	if err != nil {
		t.Fatal(err)
	}
	cfg.QPS = -1
	store, err := cache.New(cfg, cache.Options{Scheme: clientgoscheme.Scheme, ByObject: Watched(opts.Namespace)})
	if err != nil {
		t.Fatal(err)
	}
	cached, err := client.New(cfg, client.Options{Scheme: clientgoscheme.Scheme, Cache: &client.CacheOptions{Reader: store}})
	if err != nil {
		t.Fatal(err)
	}
	reader, err := client.New(cfg, client.Options{Scheme: clientgoscheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	opts.Client, opts.Reader, opts.Cache = cached, reader, store
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() { _ = store.Start(ctx) })
	if !store.WaitForCacheSync(ctx) {
		t.Fatal("the cache did not start")
	}
	r := &replica{Keeper: New(opts)}
	r.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
	t.Cleanup(r.stop)
	return r
}

// run starts a prepared Keeper. It ends with stop, or with the test.
func (r *replica) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- r.Start(ctx) }()
	stop := r.stop
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the Keeper ended with %v", err)
		}
		stop()
	})
	t.Cleanup(r.stop)
}

func (e *env) start(t *testing.T, opts Options) *replica {
	t.Helper()
	r := e.prepare(t, opts)
	r.run(t)
	return r
}

// clean removes what tests leave, and makes an empty webhook configuration.
func clean(t *testing.T) *env {
	t.Helper()
	e, err := plane()
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	err = errors.Join(
		client.IgnoreNotFound(e.admin.Delete(ctx, e.secret())),
		client.IgnoreNotFound(e.admin.Delete(ctx, configuration())),
		e.admin.Create(ctx, configuration()),
	)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *env) secret() *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ownNamespace, Name: SecretName}}
}

func configuration() *admissionregistrationv1.ValidatingWebhookConfiguration {
	return &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: ConfigurationName}}
}

// stored reads the Secret from the API server.
func (e *env) stored(t *testing.T) (*corev1.Secret, material) {
	t.Helper()
	secret := e.secret()
	if err := e.admin.Get(t.Context(), client.ObjectKeyFromObject(secret), secret); err != nil {
		t.Fatal(err)
	}
	m, err := parse(secret.Data)
	if err != nil {
		t.Fatal(err)
	}
	return secret, m
}

// shown is the certificate that a replica shows; nil for none.
func (r *replica) shown() *material {
	pair, err := r.GetCertificate(nil)
	if err != nil {
		return nil
	}
	return &material{pair: pair}
}

// eventually waits until check is satisfied, and fails the test with what was seen last
// otherwise.
func eventually(t *testing.T, within time.Duration, check func() (ok bool, seen string)) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		ok, seen := check()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s; seen last: %s", within, seen)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

//go:build e2e

package certmanager

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/cluster"
	"github.com/mainstay-dev/mainstay/test/cluster/tools"
	"github.com/mainstay-dev/mainstay/test/replicas"
)

const (
	// serving and authority are the component's Certificates, of which the second one is
	// the first one's CA, and secret is what Mainstay reads.
	serving, authority = "mainstay-webhook", "mainstay-webhook-ca"
	secret             = "mainstay-webhook-tls"

	guarded = "shop"
	// within is how long anything may take to come about on a busy machine.
	within = 2 * time.Minute
)

// env is a control plane with cert-manager's controllers, and the package with its
// component.
type env struct {
	*cluster.Cluster
	client   client.Client
	replicas *replicas.Set
}

// TestComponent has cert-manager make and renew the webhook's certificate, and its CA, while
// requests are judged and the replicas are replaced: none is refused that conforms.
func TestComponent(t *testing.T) {
	ctrl.SetLogger(logr.Discard())
	e := start(t)
	e.serves(t, e.secretAfter(t, nil))
	stop := e.watch(t)

	before := e.secretAfter(t, nil)
	e.renew(t, serving)
	after := e.secretAfter(t, before)
	if got, want := string(after.Data["ca.crt"]), string(before.Data["ca.crt"]); got != want {
		t.Errorf("the certificate is renewed, and its CA is another one:\n%s\nwant\n%s", got, want)
	}
	e.serves(t, after)
	e.roll(t, "mainstay-2", "mainstay-3")

	former := e.get(t, authority)
	e.renew(t, authority)
	eventually(t, "there is another CA", func(context.Context) error {
		if string(e.get(t, authority).Data[corev1.TLSCertKey]) == string(former.Data[corev1.TLSCertKey]) {
			return errors.New("it is the former one")
		}
		return nil
	})
	before = after
	e.renew(t, serving)
	after = e.secretAfter(t, before)
	if string(after.Data["ca.crt"]) == string(before.Data["ca.crt"]) {
		t.Error("the certificate is of the former CA")
	}
	e.serves(t, after)
	e.roll(t, "mainstay-4", "mainstay-5")

	if _, found := after.Data["ca.key"]; found {
		t.Error("Mainstay wrote into cert-manager's Secret")
	}
	if n := stop(); n < 100 {
		t.Errorf("%d requests were tried, want 100 at least", n)
	}
}

func start(t *testing.T) *env {
	t.Helper()
	c, err := cluster.Start(t.Context(), cluster.Options{Out: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	cfg := c.Config()
	cfg.QPS = -1
	e := &env{Cluster: c}
	if e.client, err = client.New(cfg, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	root, err := tools.Root()
	if err != nil {
		t.Fatal(err)
	}
	e.certManager(t, root)
	if err := replicas.Install(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	e.component(t, root)
	e.run(t)
	e.guard(t)
	return e
}

// certManager installs its kinds and runs its controllers.
func (e *env) certManager(t *testing.T, root string) {
	t.Helper()
	source, err := tools.SourceDir(t.Context(), root, "cert-manager", "github.com/cert-manager/cert-manager")
	if err != nil {
		t.Fatal(err)
	}
	e.kubectl(t, "apply", "--server-side", "-f", filepath.Join(source, "deploy", "crds"))
	program := filepath.Join(t.TempDir(), "cert-manager")
	if err := tools.BuildProgram(t.Context(), filepath.Join(root, "tools", "cert-manager"), ".", "-s -w", program); err != nil {
		t.Fatal(err)
	}
	if err := e.AwaitDefinitions(t.Context()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(e.Dir(), "cert-manager.log")
	log, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--kubeconfig", e.Kubeconfig())
	cmd.Stdout, cmd.Stderr = log, log
	e.Adopt(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
		if text, err := os.ReadFile(path); err == nil && t.Failed() {
			t.Logf("the end of cert-manager's log:\n%s", text[max(0, len(text)-8<<10):])
		}
	})
}

// component applies what the component has beside its patch of the Deployment: here the
// processes have the flag. The API server calls them by an address, which the certificate
// has to be for.
func (e *env) component(t *testing.T, root string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "manifests", "components", "cert-manager", "certificates.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "certificates.yaml")
	text := strings.Replace(string(content), "  dnsNames:\n", "  ipAddresses: [0.0.0.0]\n  dnsNames:\n", 1)
	if text == string(content) {
		t.Fatal("the component's certificate has no dnsNames")
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	e.kubectl(t, "apply", "--server-side", "-f", path)
}

// run starts the replicas as the component has them run.
func (e *env) run(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	program, err := replicas.Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	e.replicas, err = replicas.New(replicas.Options{Cluster: e.Cluster, Program: program, Webhook: true, Flags: []string{
		"--webhook-cert-rotation=false", "--drain-time=3s",
		"--leader-election-lease-duration=6s", "--leader-election-renew-deadline=5s", "--leader-election-retry-period=500ms",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.replicas.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			for _, r := range e.replicas.All() {
				t.Logf("the end of the log of %s:\n%s", r.Pod(), r.Tail())
			}
		}
	})
	e.add(t, "mainstay-0", "mainstay-1")
}

func (e *env) add(t *testing.T, pods ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for _, pod := range pods {
		r, err := e.replicas.Start(ctx, pod)
		if err == nil {
			err = e.replicas.Ready(ctx, r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// roll replaces the replicas one after the other: each request after it is on a new
// connection.
func (e *env) roll(t *testing.T, pods ...string) {
	t.Helper()
	former := e.replicas.Running()
	for i, pod := range pods {
		e.add(t, pod)
		if err := former[i].Stop(); err != nil {
			t.Error(err)
		}
	}
}

// guard has a rule that the webhook judges, and waits until it does.
func (e *env) guard(t *testing.T) {
	t.Helper()
	rule := builders.MakeClusterRule("deployments-have-budgets").Modes(v1alpha1.ModeAdmission).FailurePolicy(admissionregistrationv1.Fail).
		Match("apps", "v1", "deployments").Refer("budgets", "policy/v1", "PodDisruptionBudget").
		Validate("refs.budgets.exists(b, selectorMatches(b.spec.selector, object.spec.template.metadata.labels))", "no budget").Obj()
	for _, obj := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: guarded}},
		&policyv1.PodDisruptionBudget{
			ObjectMeta: metav1.ObjectMeta{Namespace: guarded, Name: "budgeted"},
			Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "budgeted"}}},
		},
		rule,
	} {
		if err := e.client.Create(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the rule is in force", func(ctx context.Context) error {
		if err := e.tries(ctx, "budgeted"); err != nil {
			return err
		}
		if err := e.tries(ctx, "unbudgeted"); err == nil || !strings.Contains(err.Error(), "no budget") {
			return fmt.Errorf("what violates it: %w", err)
		}
		return nil
	})
}

func (e *env) tries(ctx context.Context, name string) error {
	return e.client.Create(ctx, builders.MakeDeployment(guarded, name).Obj(), client.DryRunAll)
}

// watch tries what conforms and what violates, and connects anew, until it is stopped, and
// returns how often it did.
func (e *env) watch(t *testing.T) (stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done, n := make(chan struct{}), 0
	go func() {
		defer close(done)
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for ; ; n++ {
			if err := e.tries(ctx, "budgeted"); err != nil && ctx.Err() == nil {
				t.Errorf("what conforms is refused: %v", err)
			}
			if err := e.tries(ctx, "unbudgeted"); err == nil {
				t.Error("what violates the rule is admitted")
			}
			if err := e.trusts(ctx); err != nil && ctx.Err() == nil {
				t.Errorf("an API server that connects anew does not trust what is served: %v", err)
			}
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	}()
	return func() int {
		cancel()
		<-done
		return n
	}
}

// trusts connects as an API server does, which keeps its own connection: by what the
// configuration says.
func (e *env) trusts(ctx context.Context) error {
	var config admissionregistrationv1.ValidatingWebhookConfiguration
	if err := e.client.Get(ctx, client.ObjectKey{Name: "mainstay"}, &config); err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(config.Webhooks[0].ClientConfig.CABundle)
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: serving + "." + replicas.Namespace + ".svc", MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(ctx, "tcp", e.replicas.Front().Addr())
	if err != nil {
		return err
	}
	return conn.Close()
}

// renew does what cmctl renew does.
func (e *env) renew(t *testing.T, name string) {
	t.Helper()
	eventually(t, "Certificate "+name+" is asked for anew", func(ctx context.Context) error {
		certificate := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "cert-manager.io/v1", "kind": "Certificate"}}
		if err := e.client.Get(ctx, client.ObjectKey{Namespace: replicas.Namespace, Name: name}, certificate); err != nil {
			return err
		}
		conditions, _, err := unstructured.NestedSlice(certificate.Object, "status", "conditions")
		if err != nil {
			return err
		}
		conditions = append(conditions, map[string]any{
			"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "a test",
			"lastTransitionTime": time.Now().UTC().Format(time.RFC3339), "observedGeneration": certificate.GetGeneration(),
		})
		if err := unstructured.SetNestedSlice(certificate.Object, conditions, "status", "conditions"); err != nil {
			return err
		}
		return e.client.Status().Update(ctx, certificate)
	})
}

func (e *env) get(t *testing.T, name string) *corev1.Secret {
	t.Helper()
	var got corev1.Secret
	if err := e.client.Get(t.Context(), client.ObjectKey{Namespace: replicas.Namespace, Name: name}, &got); err != nil {
		t.Fatal(err)
	}
	return &got
}

// secretAfter waits until cert-manager has written a certificate that is not the former one.
func (e *env) secretAfter(t *testing.T, former *corev1.Secret) *corev1.Secret {
	t.Helper()
	var got corev1.Secret
	eventually(t, "there is another certificate", func(ctx context.Context) error {
		if err := e.client.Get(ctx, client.ObjectKey{Namespace: replicas.Namespace, Name: secret}, &got); err != nil {
			return err
		}
		if issuer := got.Annotations["cert-manager.io/issuer-name"]; issuer != authority {
			t.Fatalf("it is of issuer %q, want %s", issuer, authority)
		}
		if former != nil && string(former.Data[corev1.TLSCertKey]) == string(got.Data[corev1.TLSCertKey]) {
			return errors.New("it is the former one")
		}
		return nil
	})
	return &got
}

// serves waits until a new connection is shown the certificate of a Secret.
func (e *env) serves(t *testing.T, want *corev1.Secret) {
	t.Helper()
	block, _ := pem.Decode(want.Data[corev1.TLSCertKey])
	if block == nil {
		t.Fatal("the Secret has no certificate")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the certificate is served", func(ctx context.Context) error {
		dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
		conn, err := dialer.DialContext(ctx, "tcp", e.replicas.Front().Addr())
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		if shown := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]; !shown.Equal(leaf) {
			return fmt.Errorf("serial number %s, want %s", shown.SerialNumber, leaf.SerialNumber)
		}
		return nil
	})
}

func (e *env) kubectl(t *testing.T, args ...string) {
	t.Helper()
	if _, err := e.Kubectl(t.Context(), args...); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until check returns nil.
func eventually(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not within %s: %s: %v", within, what, err)
		case <-ticker.C:
		}
	}
}

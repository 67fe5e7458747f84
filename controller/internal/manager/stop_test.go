package manager_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/controller/internal/certs"
	"github.com/mainstay-dev/mainstay/test/cluster"
)

// freePort is one that nobody listens on for now.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // nothing was sent
	return listener.Addr().String()
}

// TestStopInTwoSteps stops the real program, and looks at what callers and the Lease see
// of it.
func TestStopInTwoSteps(t *testing.T) {
	t.Parallel()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	e := ownCluster(t, cluster.Options{})
	kubeconfig := e.kubeconfig(t)
	start := func(name string, drain time.Duration) (*exec.Cmd, func() int) {
		healthAddr := freePort(t)
		cmd := exec.Command(path, "controller", "--kubeconfig", kubeconfig, "--metrics-addr=0", "--health-addr="+healthAddr,
			"--webhook-addr="+freePort(t), "--drain-time="+drain.String(), "--leader-election-retry-period=500ms")
		cmd.Env = append(os.Environ(), "POD_NAME="+name, "POD_NAMESPACE="+ownNamespace)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		return cmd, func() int {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			code, _ := readyz(ctx, healthAddr, "draining")
			return code
		}
	}
	leads := func(name string) func(string) bool { return func(got string) bool { return got == name } }

	const drain = 3 * time.Second
	cmd, ready := start("mainstay-a", drain)
	awaitHolder(t, e, 20*time.Second, leads("mainstay-a"))
	// The package's rights are enough for the certificate.
	eventually(t, 10*time.Second, func(ctx context.Context) (bool, string) {
		secret, err := get(ctx, e, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ownNamespace, Name: certs.SecretName}})
		return err == nil && len(secret.Data[corev1.TLSCertKey]) > 0, fmt.Sprint(err)
	})
	if got := ready(); got != http.StatusOK {
		t.Errorf("readyz before: %d", got)
	}
	stopped := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Second, func(context.Context) (bool, string) {
		got := ready()
		return got == http.StatusServiceUnavailable, fmt.Sprint("readyz: ", got)
	})
	if got := holder(t.Context(), e); got != "mainstay-a" {
		t.Errorf("%q leads while the leader drains", got)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v, want exit code 0", err)
	}
	if took := time.Since(stopped); took < drain {
		t.Errorf("ended after %s, want %s at least", took, drain)
	}
	if got := holder(t.Context(), e); got != "" {
		t.Errorf("the lease is still held by %q", got)
	}

	cmd, ready = start("mainstay-b", time.Minute)
	awaitHolder(t, e, 20*time.Second, leads("mainstay-b"))
	// Two signals at once are one.
	eventually(t, 20*time.Second, func(context.Context) (bool, string) {
		got := ready()
		return got == http.StatusOK, fmt.Sprint("readyz: ", got)
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, func(context.Context) (bool, string) {
		got := ready()
		return got == http.StatusServiceUnavailable, fmt.Sprint("readyz: ", got)
	})
	again := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) {
		t.Errorf("the second signal ended it with %v", err)
	}
	if took := time.Since(again); took > 5*time.Second {
		t.Errorf("the second signal ended it after %s", took)
	}
}

package manager_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/manager"
	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/cluster"
)

// polls is how long two tries of an election take at most: one to see, one to
// take, each of the retry period with client-go's jitter.
func polls(retry time.Duration) time.Duration {
	return 2 * time.Duration((1+leaderelection.JitterFactor)*float64(retry))
}

// slack is for a machine that does other things too.
const slack = 3 * time.Second

func ownCluster(t *testing.T, opts cluster.Options) *env {
	t.Helper()
	e, err := startEnv(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Stop(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func holder(ctx context.Context, e *env) string {
	var lease coordinationv1.Lease
	err := e.client.Get(ctx, client.ObjectKey{Namespace: ownNamespace, Name: manager.LeaseName}, &lease)
	if err != nil || lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

func awaitHolder(t *testing.T, e *env, within time.Duration, is func(string) bool) (string, time.Duration) {
	t.Helper()
	start := time.Now()
	var name string
	eventually(t, within, func(ctx context.Context) (bool, string) {
		name = holder(ctx, e)
		return is(name), fmt.Sprintf("%q holds the lease", name)
	})
	return name, time.Since(start)
}

// journal is a log that a test reads.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) logger() logr.Logger {
	return funcr.New(func(_, args string) {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.lines = append(j.lines, args)
	}, funcr.Options{})
}

func (j *journal) has(parts ...string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range j.lines {
		all := true
		for _, part := range parts {
			all = all && strings.Contains(line, part)
		}
		if all {
			return true
		}
	}
	return false
}

func TestLeadership(t *testing.T) {
	t.Parallel()
	e := ownCluster(t, cluster.Options{Audit: true})
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "guarded"}}
	e.create(t, ns)
	r := builders.MakeClusterRule("replicas").Match("apps", "v1", "deployments").Validate("object.spec.replicas > 1", "").Obj()
	e.create(t, r)

	first := e.startReplica(t, options("mainstay-a"))
	awaitHolder(t, e, 10*time.Second, func(name string) bool { return name == "mainstay-a" })

	var log journal
	opts := options("mainstay-b")
	opts.Log = log.logger()
	second := e.startReplica(t, opts)

	t.Run("a standby says who leads and writes nothing", func(t *testing.T) {
		eventually(t, 10*time.Second, func(context.Context) (bool, string) {
			return log.has(`"another replica leads"`, `"leader"="mainstay-a"`), "not logged"
		})
		ruleStatus(t, e, r, counts(0, 0, 0, 0))
	})

	t.Run("released on stop, and taken over warm", func(t *testing.T) {
		// Enqueued on the standby too, just before the leader goes.
		e.create(t, builders.MakeDeployment("guarded", "web").Obj())
		start := time.Now()
		first.stop()
		if err := <-first.done; err != nil {
			t.Errorf("a graceful stop returned %v", err)
		}
		_, took := awaitHolder(t, e, time.Minute, func(name string) bool { return name == "mainstay-b" })
		if limit := time.Duration(2.2*float64(options("").RetryPeriod)) + slack; took > limit {
			t.Errorf("took over %s after the release, want at most %s", took, limit)
		}
		ruleStatus(t, e, r, counts(0, 1, 0, 0))
		t.Logf("led %s after the release, status written %s after it", took.Round(time.Millisecond), time.Since(start).Round(time.Millisecond))
	})

	t.Run("nothing is written while nothing changes", func(t *testing.T) {
		count := func() (writes int) {
			events, err := e.AuditEvents()
			if err != nil {
				t.Fatal(err)
			}
			for i := range events {
				ev := &events[i]
				if strings.HasSuffix(ev.User.Username, ":mainstay") && ev.Stage == "ResponseComplete" &&
					ev.Verb != "get" && ev.Verb != "list" && ev.Verb != "watch" && ev.ObjectRef != nil && ev.ObjectRef.Resource != "leases" {
					writes++
				}
			}
			return writes
		}
		settled := -1
		eventually(t, 20*time.Second, func(ctx context.Context) (bool, string) {
			before := count()
			pause(ctx, 2*time.Second)
			settled = count()
			return before == settled, "writes go on"
		})
		pause(t.Context(), 5*time.Second)
		if got := count(); got != settled {
			t.Errorf("%d writes in 5 s in which nothing changed", got-settled)
		}
	})

	t.Run("a lost lease ends the process with an error", func(t *testing.T) {
		eventually(t, 10*time.Second, func(ctx context.Context) (bool, string) {
			var lease coordinationv1.Lease
			if err := e.client.Get(ctx, client.ObjectKey{Namespace: ownNamespace, Name: manager.LeaseName}, &lease); err != nil {
				return false, err.Error()
			}
			now := metav1.NowMicro()
			lease.Spec.HolderIdentity, lease.Spec.RenewTime, lease.Spec.LeaseDurationSeconds = new("usurper"), &now, new(int32(60))
			err := e.client.Update(ctx, &lease)
			return err == nil, fmt.Sprint(err)
		})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		select {
		case err := <-second.done:
			if err == nil || !strings.Contains(err.Error(), "leader election lost") {
				t.Errorf("Start returned %v, want an error that says why", err)
			}
		case <-ctx.Done():
			t.Fatal("still running 20 s after it lost the lease")
		}
	})
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// programDir is where the real program is, once it was built.
var programDir string

// program builds the real program once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "mainstay-program-")
	if err != nil {
		return "", err
	}
	programDir = dir
	path := filepath.Join(dir, "mainstay")
	out, err := exec.Command("go", "build", "-o", path, "../../cmd/mainstay").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, nil
})

func TestCrashedAndPausedLeader(t *testing.T) {
	t.Parallel()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	e := ownCluster(t, cluster.Options{})
	kubeconfig := e.kubeconfig(t)
	opts := options("")
	start := func(name string) *exec.Cmd {
		cmd := exec.Command(path, "controller", "--kubeconfig", kubeconfig, "--metrics-addr=0", "--health-addr=0", "--webhook-addr=0",
			"--leader-election-lease-duration="+opts.LeaseDuration.String(),
			"--leader-election-renew-deadline="+opts.RenewDeadline.String(),
			"--leader-election-retry-period="+opts.RetryPeriod.String())
		cmd.Env = append(os.Environ(), "POD_NAME="+name, "POD_NAMESPACE="+ownNamespace)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		return cmd
	}
	takeover := opts.LeaseDuration + polls(opts.RetryPeriod) + slack

	a := start("mainstay-a")
	awaitHolder(t, e, 20*time.Second, func(name string) bool { return name == "mainstay-a" })
	b := start("mainstay-b")
	pause(t.Context(), 2*time.Second)

	if err := a.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = a.Wait()
	_, took := awaitHolder(t, e, takeover, func(name string) bool { return name == "mainstay-b" })
	t.Logf("took over %s after a crash, limit %s", took.Round(time.Millisecond), takeover-slack)

	c := start("mainstay-c")
	pause(t.Context(), 2*time.Second)
	if err := b.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	_, took = awaitHolder(t, e, takeover, func(name string) bool { return name == "mainstay-c" })
	t.Logf("took over %s after the leader was paused", took.Round(time.Millisecond))
	if err := b.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := b.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("the paused leader ended with %v, want exit code 1", err)
	}
	// client-go would release what it held once, see guardedLock.
	if name := holder(t.Context(), e); name != "mainstay-c" {
		t.Errorf("%q leads after the paused leader woke up, want mainstay-c", name)
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("SIGTERM ended the leader with %v, want exit code 0", err)
	}
	if name := holder(t.Context(), e); name != "" {
		t.Errorf("the lease is still held by %q after a graceful stop", name)
	}
}

func TestAPIServerAwayForAMinute(t *testing.T) {
	t.Parallel()
	e := ownCluster(t, cluster.Options{})
	e.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "guarded"}})
	d := builders.MakeDeployment("guarded", "web").Obj()
	r := builders.MakeClusterRule("replicas").Match("apps", "v1", "deployments").Validate("object.spec.replicas > 1", "").Obj()
	e.create(t, d, r)
	// Two replicas as the package's defaults run them; the leader gives up
	// after its renew deadline, and comes back as a kubelet would bring it.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for _, name := range []string{"mainstay-a", "mainstay-b"} {
		wg.Go(func() {
			for ctx.Err() == nil {
				opts := options(name)
				mgr, _, err := e.newManager(opts)
				if err == nil {
					err = mgr.Start(ctx)
				}
				if err != nil {
					pause(ctx, time.Second)
				}
			}
		})
	}
	ruleStatus(t, e, r, counts(0, 1, 0, 0))

	if err := e.StopAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	pause(t.Context(), time.Minute)
	if err := e.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	edit(t, e, d, func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(2)) })
	eventually(t, 90*time.Second, func(ctx context.Context) (bool, string) {
		got, err := get(ctx, e, &v1alpha1.ClusterRule{ObjectMeta: metav1.ObjectMeta{Name: r.Name}})
		if err != nil {
			return false, err.Error()
		}
		return counts(1, 0, 0, 0)(&got.Status), fmt.Sprintf("%+v", got.Status.Summary)
	})
	t.Logf("a change after the outage was in the status %s after the API server was back", time.Since(back).Round(time.Millisecond))
}

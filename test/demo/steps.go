package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/cluster"
	"github.com/mainstay-dev/mainstay/test/fluxgen"
	"github.com/mainstay-dev/mainstay/test/replicas"
)

// The demo's lease timings are short, so that a takeover after a crash takes
// seconds; the package's defaults are 15 s, 10 s and 2 s.
func leaseFlags() []string {
	return []string{
		"--leader-election-lease-duration=6s",
		"--leader-election-renew-deadline=4s",
		"--leader-election-retry-period=1s",
	}
}

// demo holds what the steps share.
type demo struct {
	story *story
	opts  options

	cluster  *cluster.Cluster
	client   client.Client
	replicas *replicas.Set
	cancel   context.CancelFunc
	election sync.WaitGroup

	flux []byte // the real manifests, unpatched

	mu   sync.Mutex
	lost map[string]bool // workers that do not run their pods any more
}

func (d *demo) steps() []step {
	return []step{
		{"cluster", "Start a control plane with three workers", 15 * time.Minute, d.startCluster},
		{"flux", "Install Flux 2.9 as it is shipped, every controller on worker-1", time.Minute, d.installFlux},
		{"mainstay", "Install Mainstay and run two replicas of it", time.Minute, d.installMainstay},
		{"found-out", "The Lifeline says what the loss of worker-1 would stop", time.Minute, d.foundOut},
		{"rules", "The rules list what is missing", time.Minute, d.rulesFail},
		{"patched", "Patch Flux: standbys, soft spread, budgets, short tolerations. Still on one worker", time.Minute, d.patchFlux},
		{"healed", "The other workers take pods again: Mainstay moves standbys over", time.Minute, d.healed},
		{"worker-lost", "A worker is lost", time.Minute, d.loseWorker},
		{"holds", "The Lifeline holds, and recovers its reserve on the workers that are left", 2 * time.Minute, d.holds},
		{"leader-killed", "The leader of Mainstay is killed while a standby waits to be moved", time.Minute, d.killLeader},
		{"once", "Nothing was done twice", time.Minute, d.once},
	}
}

func (d *demo) startCluster(ctx context.Context) (string, error) {
	c, err := cluster.Start(ctx, cluster.Options{
		Workers: 3, Audit: true, KeepRunning: d.opts.keep, Out: os.Stdout,
		NodeMonitorGracePeriod: 6 * time.Second, NodeMonitorPeriod: time.Second,
	})
	if err != nil {
		return "", err
	}
	d.cluster = c
	d.lost = map[string]bool{}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return "", err
	}
	if d.client, err = client.New(c.Config(), client.Options{Scheme: scheme}); err != nil {
		return "", fmt.Errorf("make a client: %w", err)
	}
	d.story.say("export KUBECONFIG=%s", c.Kubeconfig())
	return d.show(ctx, "get", "nodes")
}

func (d *demo) installFlux(ctx context.Context) (string, error) {
	manifests, err := fluxgen.Manifests(ctx, fluxgen.Options{})
	if err != nil {
		return "", err
	}
	d.flux = manifests
	if err := d.workersTakePods(ctx, false); err != nil {
		return "", err
	}
	if err := d.apply(ctx, "flux.yaml", manifests); err != nil {
		return "", err
	}
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	d.cancel = cancel
	e := &elections{
		client: kubernetes.NewForConfigOrDie(d.cluster.Config()), namespace: "flux-system",
		controllers: []string{"source-controller", "kustomize-controller", "helm-controller", "notification-controller"},
		alive:       d.alive,
	}
	d.election.Go(func() { e.run(background) })
	if _, err := d.cluster.Kubectl(ctx, "-n", "flux-system", "wait", "--for=condition=Available", "deployment", "--all", "--timeout=50s"); err != nil {
		return "", err
	}
	if _, err := d.show(ctx, "-n", "flux-system", "get", "pods", "-o", "wide"); err != nil {
		return "", err
	}
	return "", d.workersTakePods(ctx, true)
}

func (d *demo) installMainstay(ctx context.Context) (string, error) {
	root, err := repositoryRoot()
	if err != nil {
		return "", err
	}
	for _, folder := range []string{"manifests/base", "manifests/rules"} {
		if _, err := d.cluster.Kubectl(ctx, "apply", "--server-side", "-k", filepath.Join(root, folder)); err != nil {
			return "", err
		}
		if err := d.cluster.AwaitDefinitions(ctx); err != nil {
			return "", err
		}
	}
	pods, err := until(ctx, func(ctx context.Context) (bool, string, error) {
		out, err := d.cluster.Kubectl(ctx, "-n", "mainstay-system", "get", "pods", "-o", "jsonpath={.items[*].metadata.name}")
		return len(strings.Fields(out)) == 2, out, err
	})
	if err != nil {
		return "", err
	}
	d.replicas, err = replicas.New(replicas.Options{Cluster: d.cluster, Program: d.opts.mainstay, Flags: leaseFlags()})
	if err != nil {
		return "", err
	}
	for pod := range strings.FieldsSeq(pods) {
		if _, err := d.replicas.Start(ctx, pod); err != nil {
			return "", err
		}
	}
	leader, err := until(ctx, func(ctx context.Context) (bool, string, error) {
		holder, err := d.leader(ctx)
		return holder != "", holder, err
	})
	if err != nil {
		return "", err
	}
	if _, err := d.show(ctx, "-n", "mainstay-system", "get", "lease"); err != nil {
		return "", err
	}
	return leader + " leads", nil
}

func (d *demo) foundOut(ctx context.Context) (string, error) {
	want := []string{"helm-controller", "kustomize-controller", "notification-controller"}
	seen, err := d.lifeline(ctx, func(l *v1alpha1.Lifeline) bool {
		w := l.Status.Weakest
		return w != nil && w.Name == "worker-1" && slices.Equal(w.Stops, want) && !*l.Status.Survives
	})
	if err != nil {
		return "", err
	}
	_, err = d.show(ctx, "-n", "flux-system", "get", "lifelines")
	return seen, err
}

func (d *demo) rulesFail(ctx context.Context) (string, error) {
	want := []string{"flux-spread-is-soft", "flux-standby-replicas", "flux-standby-pdb", "flux-tolerations-are-short"}
	return d.rules(ctx, func(fails []string) bool {
		return !slices.ContainsFunc(want, func(name string) bool { return !slices.Contains(fails, name) })
	})
}

func (d *demo) patchFlux(ctx context.Context) (string, error) {
	patched, err := fluxgen.WithPatches("", d.flux, "patches/flux-ha")
	if err != nil {
		return "", err
	}
	if err := d.workersTakePods(ctx, false); err != nil {
		return "", err
	}
	if err := d.apply(ctx, "flux-ha.yaml", patched); err != nil {
		return "", err
	}
	if _, err := d.cluster.Kubectl(ctx, "-n", "flux-system", "rollout", "status", "deployment", "--timeout=50s"); err != nil {
		return "", err
	}
	if err := d.electionsSettled(ctx); err != nil {
		return "", err
	}
	// The standbys are there, and on the same worker: nothing is won yet.
	seen, err := d.lifeline(ctx, func(l *v1alpha1.Lifeline) bool {
		return !*l.Status.Survives && l.Status.Weakest != nil && len(l.Status.Weakest.Stops) >= 3 &&
			!slices.ContainsFunc(l.Status.Members, func(m v1alpha1.Member) bool {
				return m.Profile == v1alpha1.ProfileStandby && m.Ready != 2
			})
	})
	if err != nil {
		return "", err
	}
	d.story.say("%s", seen)
	return d.rules(ctx, func(fails []string) bool {
		return !slices.ContainsFunc(fails, func(name string) bool { return strings.HasPrefix(name, "flux-") })
	})
}

func (d *demo) healed(ctx context.Context) (string, error) {
	before, err := d.transitions(ctx)
	if err != nil {
		return "", err
	}
	if err := d.workersTakePods(ctx, true); err != nil {
		return "", err
	}
	seen, err := d.lifeline(ctx, func(l *v1alpha1.Lifeline) bool { return *l.Status.Survives })
	if err != nil {
		return "", err
	}
	after, err := d.transitions(ctx)
	if err != nil {
		return "", err
	}
	if !maps.Equal(before, after) {
		return "", fmt.Errorf("a Lease changed hands, so a leader was evicted: %v before, %v after", before, after)
	}
	for _, args := range [][]string{
		{"-n", "flux-system", "get", "lifelines"},
		{"-n", "mainstay-system", "get", "interventions"},
	} {
		if _, err := d.show(ctx, args...); err != nil {
			return "", err
		}
	}
	return seen, nil
}

func (d *demo) loseWorker(ctx context.Context) (string, error) {
	d.setLost("worker-1", true)
	if err := d.cluster.FailWorker(ctx, "worker-1"); err != nil {
		return "", err
	}
	return until(ctx, func(ctx context.Context) (bool, string, error) {
		var node corev1.Node
		if err := d.client.Get(ctx, client.ObjectKey{Name: "worker-1"}, &node); err != nil {
			return false, "", err
		}
		for _, c := range node.Status.Conditions {
			if c.Type == corev1.NodeReady {
				return c.Status != corev1.ConditionTrue, "worker-1 is " + string(c.Status) + ": " + c.Reason, nil
			}
		}
		return false, "worker-1 has no Ready condition", nil
	})
}

func (d *demo) holds(ctx context.Context) (string, error) {
	standby := func(l *v1alpha1.Lifeline) bool {
		return !slices.ContainsFunc(l.Status.Members, func(m v1alpha1.Member) bool {
			return m.Profile == v1alpha1.ProfileStandby && (m.Ready == 0 || slices.Contains(m.Nodes, "worker-1"))
		})
	}
	seen, err := d.lifeline(ctx, standby)
	if err != nil {
		return "", err
	}
	d.story.say("a ready replica of every standby controller is left: %s", seen)
	seen, err = d.lifeline(ctx, func(l *v1alpha1.Lifeline) bool { return standby(l) && *l.Status.Survives })
	if err != nil {
		return "", err
	}
	_, err = d.show(ctx, "-n", "flux-system", "get", "lifelines")
	return seen, err
}

// workersTakePods has the workers beside worker-1 take new pods, or not.
func (d *demo) workersTakePods(ctx context.Context, take bool) error {
	verb := "cordon"
	if take {
		verb = "uncordon"
	}
	_, err := d.cluster.Kubectl(ctx, verb, "worker-2", "worker-3")
	return err
}

func (d *demo) apply(ctx context.Context, name string, manifests []byte) error {
	path := filepath.Join(d.cluster.Dir(), name)
	if err := os.WriteFile(path, manifests, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err := d.cluster.Kubectl(ctx, "apply", "--server-side", "-f", path)
	return err
}

func (d *demo) alive(node string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return node != "" && !d.lost[node]
}

func (d *demo) setLost(node string, lost bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lost[node] = lost
}

func (d *demo) sayHowToGoOn() {
	d.story.say("nobody renews the Leases of Flux's simulated pods any more: the Lifeline says so")
	d.story.say("left running; the replicas' logs are in %s", d.cluster.Dir())
	d.story.say("export KUBECONFIG=%s", d.cluster.Kubeconfig())
	d.story.say("kubectl get mainstay -A")
	d.story.say("end it with: go run ./test/cluster/cmd/cluster down %s", d.cluster.Dir())
}

func (d *demo) stop() error {
	if d.cancel != nil {
		d.cancel()
		d.election.Wait()
	}
	var errs []error
	if d.replicas != nil {
		for _, r := range d.replicas.Running() {
			errs = append(errs, r.Stop())
		}
	}
	if d.cluster != nil {
		errs = append(errs, d.cluster.Stop())
	}
	return errors.Join(errs...)
}

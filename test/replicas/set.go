package replicas

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mainstay-dev/mainstay/test/cluster"
)

// Namespace is Mainstay's own, LeaseName its Lease there.
const (
	Namespace = "mainstay-system"
	LeaseName = "mainstay"
)

// look is how often a wait looks.
const look = 50 * time.Millisecond

// Options of a Set.
type Options struct {
	// Cluster has manifests/base applied, without pods of its own.
	Cluster *cluster.Cluster
	// Program is the path of mainstay.
	Program string
	// Webhook has every replica serve it, behind a Front.
	Webhook bool
	// Lag is how long the Front goes on to send connections to a replica that was
	// told to stop: what a Service takes to hear of it.
	Lag time.Duration
	// HTTP2 has the API server call as it calls its own host only: with one connection.
	HTTP2 bool
	// Pods has every replica be a Pod, where the others find it: with an address of its own
	// and the port that all have. It stays when its replica ends. A replica reaches the API
	// server by a line of its own, which CutOff cuts. It takes Webhook.
	Pods bool
	// Flags are given to every replica, after those of the Set.
	Flags []string
}

// Set is the replicas of one cluster. Its methods may be called from several
// goroutines.
type Set struct {
	opts       Options
	config     *rest.Config // of the replicas
	kubeconfig string
	client     kubernetes.Interface
	front      *Front // nil without a webhook
	port       int    // of the webhook of every Pod; 0 without Pods

	mu       sync.Mutex
	replicas []*Replica
}

// New returns a Set without replicas. The processes act as Mainstay's ServiceAccount,
// so that a test that passes has shown that the package's rights are enough.
func New(opts Options) (*Set, error) {
	cfg, err := opts.Cluster.ConfigFor("system:serviceaccount:"+Namespace+":mainstay",
		"system:serviceaccounts", "system:serviceaccounts:"+Namespace, "system:authenticated")
	if err != nil {
		return nil, fmt.Errorf("make the config of the replicas: %w", err)
	}
	s := &Set{opts: opts, config: cfg, kubeconfig: filepath.Join(opts.Cluster.Dir(), "mainstay.kubeconfig")}
	if err := cluster.WriteKubeconfig(s.kubeconfig, cfg); err != nil {
		return nil, err
	}
	if s.client, err = kubernetes.NewForConfig(opts.Cluster.Config()); err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	if opts.Webhook {
		if s.front, err = newFront(opts.Lag, opts.HTTP2); err != nil {
			return nil, err
		}
	}
	if opts.Pods {
		ports, err := cluster.FreePorts(1)
		if err != nil {
			return nil, fmt.Errorf("choose the port of the webhook: %w", err)
		}
		s.port = ports[0]
	}
	return s, nil
}

// Front stands for the Service of the webhook; nil without one.
func (s *Set) Front() *Front { return s.front }

// Start starts a replica that stands for the pod of that name. It does not wait until
// it is ready. A process that ends by itself is started again, as a kubelet does.
func (s *Set) Start(ctx context.Context, pod string) (*Replica, error) {
	r := &Replica{set: s, pod: pod, log: filepath.Join(s.opts.Cluster.Dir(), pod+".log"), gone: make(chan struct{})}
	kubeconfig := s.kubeconfig
	if s.front != nil {
		ports, err := cluster.FreePorts(3)
		if err != nil {
			return nil, fmt.Errorf("start replica %s: %w", pod, err)
		}
		r.metrics, r.health, r.webhook = loopback(ports[0]), loopback(ports[1]), loopback(ports[2])
	}
	if s.opts.Pods {
		addr := podAddress(len(s.All()))
		r.webhook = net.JoinHostPort(addr, strconv.Itoa(s.port))
		err := s.join(ctx, r, addr)
		if err == nil {
			kubeconfig, err = s.connect(r)
		}
		if err != nil {
			return nil, fmt.Errorf("start replica %s: %w", pod, err)
		}
	}
	r.args = []string{"controller", "--kubeconfig", kubeconfig}
	if s.front == nil {
		r.args = append(r.args, "--metrics-addr=0", "--health-addr=0", "--webhook-addr=0")
	} else {
		r.args = append(r.args, "--metrics-addr="+r.metrics, "--health-addr="+r.health, "--webhook-addr="+r.webhook, "--webhook-url="+s.front.URL())
	}
	r.args = append(r.args, s.opts.Flags...)
	if err := r.run(); err != nil {
		return nil, err
	}
	if s.front != nil {
		s.front.add(r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replicas = append(s.replicas, r)
	return r, nil
}

// Ready waits until the Front sends connections to a replica.
func (s *Set) Ready(ctx context.Context, r *Replica) error {
	return wait(ctx, "replica "+r.pod+" to be ready", func(context.Context) (bool, error) {
		return s.front.sendsTo(r), nil
	})
}

// Endpoints are how many replicas the Front sends connections to.
func (s *Set) Endpoints() int {
	n := 0
	for _, r := range s.Running() {
		if s.front.sendsTo(r) {
			n++
		}
	}
	return n
}

// Leader is the replica that holds the Lease, nil where none that runs does.
func (s *Set) Leader(ctx context.Context) (*Replica, error) {
	lease, err := s.client.CoordinationV1().Leases(Namespace).Get(ctx, LeaseName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // nobody is no error
	}
	if err != nil {
		return nil, fmt.Errorf("read Mainstay's lease: %w", err)
	}
	for _, r := range s.Running() {
		if lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity == r.pod {
			return r, nil
		}
	}
	return nil, nil //nolint:nilnil // nobody is no error
}

// AwaitLeader waits until a replica leads, and returns it.
func (s *Set) AwaitLeader(ctx context.Context) (leader *Replica, err error) {
	err = wait(ctx, "a replica to lead", func(ctx context.Context) (bool, error) {
		found, err := s.Leader(ctx)
		leader = found
		return found != nil, err
	})
	return leader, err
}

// Running are the replicas that were neither stopped nor killed, in the order of their
// start.
func (s *Set) Running() []*Replica {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*Replica
	for _, r := range s.replicas {
		if !r.ending() {
			out = append(out, r)
		}
	}
	return out
}

// All are the replicas that were ever started.
func (s *Set) All() []*Replica {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.replicas)
}

// Kill ends every replica at once.
func (s *Set) Kill() error {
	var errs []error
	for _, r := range s.Running() {
		errs = append(errs, r.Kill())
	}
	return errors.Join(errs...)
}

// Close ends every replica at once, and the Front.
func (s *Set) Close() error {
	err := s.Kill()
	if s.front != nil {
		s.front.close()
	}
	for _, r := range s.All() {
		if r.line != nil {
			r.line.close()
		}
	}
	return err
}

func loopback(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// wait looks until done, an error, or the end of ctx.
func wait(ctx context.Context, what string, done func(context.Context) (bool, error)) error {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		ok, err := done(ctx)
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait for %s: %w", what, context.Cause(ctx)), err)
		case <-ticker.C:
		}
	}
}

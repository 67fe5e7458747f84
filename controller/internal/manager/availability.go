package manager

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	ctrlmanager "sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/mainstay-dev/mainstay/controller/internal/certs"
	"github.com/mainstay-dev/mainstay/controller/internal/health"
	"github.com/mainstay-dev/mainstay/controller/internal/metrics"
)

// availability is what has a replica called only when it can answer.
type availability struct {
	drainer *health.Drainer
	// keeper and health are nil where the webhook is off.
	keeper *certs.Keeper
	health *health.Health
	// steady is this machine's clock.
	steady clock.WithTicker
	// checks are those of readiness, by name.
	checks map[string]healthz.Checker
	// servers answer also when the manager does not run any more.
	servers []*ctrlmanager.Server
}

// newAvailability wires it. The Secret is kept from here on; serve adds the webhook's server.
func newAvailability(mgr ctrlmanager.Manager, cfg *rest.Config, opts Options, heard *health.Heard, steady clock.WithTicker) (*availability, error) {
	a := &availability{drainer: &health.Drainer{}, steady: steady, checks: map[string]healthz.Checker{}}
	a.checks["draining"] = func(*http.Request) error { return a.drainer.Check() }
	if opts.HealthAddr != off && opts.HealthAddr != "" {
		server, err := newProbes(opts, a.checks)
		if err != nil {
			return nil, err
		}
		a.servers = append(a.servers, server)
	}
	if opts.WebhookAddr == off {
		return a, nil
	}
	a.keeper = certs.New(certs.Options{
		Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Cache: mgr.GetCache(), Namespace: opts.PodNamespace,
		Rotate: opts.WebhookCertRotation, Names: opts.webhookNames(), Clock: opts.Clock, Log: opts.Log.WithName("certs"),
	})
	if err := mgr.Add(a.keeper); err != nil {
		return nil, fmt.Errorf("add the keeper of the certificate: %w", err)
	}
	if err := metrics.RegisterCertificate(opts.Registry, a.keeper.Expiry); err != nil {
		return nil, fmt.Errorf("register the metrics: %w", err)
	}
	disco, err := discovery.NewDiscoveryClientForConfigAndClient(cfg, mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("make the discovery client: %w", err)
	}
	self, port := opts.webhookSelf()
	a.health = health.New(health.Options{
		Clock: steady, Heard: heard,
		Ask: func(ctx context.Context) error {
			return disco.RESTClient().Get().AbsPath("/version").Do(ctx).Error()
		},
		Client:      func() *http.Client { return health.NewClient(a.keeper.Roots(), certs.ServerName(opts.PodNamespace)) },
		Self:        self,
		Peers:       peers(mgr.GetClient(), opts.PodNamespace, opts.PodName, port),
		Certificate: a.keeper.Ready,
		Drainer:     a.drainer,
		Log:         opts.Log.WithName("health"),
	})
	return a, nil
}

// webhookNames are what the certificate is for beside the Service.
func (o Options) webhookNames() []string {
	if u, err := url.Parse(o.WebhookURL); err == nil && u.Hostname() != "" {
		return []string{u.Hostname()}
	}
	return nil
}

// webhookSelf is where a replica finds its own webhook, and the port of all of them.
func (o Options) webhookSelf() (self, port string) {
	host, port, _ := net.SplitHostPort(o.WebhookAddr) // Validate had a look
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port), port
}

// peers lists the webhooks of the other replicas, by the pods of the cache.
func peers(reader client.Reader, namespace, self, port string) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		var pods corev1.PodList
		err := reader.List(ctx, &pods, client.InNamespace(namespace),
			client.MatchingLabels{"app.kubernetes.io/name": "mainstay", "app.kubernetes.io/component": "controller"})
		if err != nil {
			return nil, fmt.Errorf("list the pods of Mainstay: %w", err)
		}
		var out []string
		for i := range pods.Items {
			pod := &pods.Items[i]
			if pod.Name != self && pod.DeletionTimestamp.IsZero() && pod.Status.Phase == corev1.PodRunning && pod.Status.PodIP != "" {
				out = append(out, net.JoinHostPort(pod.Status.PodIP, port))
			}
		}
		return out, nil
	}
}

package manager

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	ctrlmanager "sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/action"
	"github.com/mainstay-dev/mainstay/controller/internal/controllers/audit"
	"github.com/mainstay-dev/mainstay/controller/internal/controllers/intervention"
	"github.com/mainstay-dev/mainstay/controller/internal/controllers/lifeline"
	"github.com/mainstay-dev/mainstay/controller/internal/controllers/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/controllers/rule"
	webhookcontroller "github.com/mainstay-dev/mainstay/controller/internal/controllers/webhook"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/health"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
	"github.com/mainstay-dev/mainstay/controller/internal/metrics"
	"github.com/mainstay-dev/mainstay/controller/internal/status"
	"github.com/mainstay-dev/mainstay/controller/internal/webhook"
)

// eventSource is the reporting controller of Events.
const eventSource = "mainstay"

// clientQPS and clientBurst bound the requests of each client of a replica to
// the API server, per second. client-go's default of 5 starves a controller
// that has a hundred statuses to write.
const (
	clientQPS   = 50
	clientBurst = 100
)

// New wires the program. What it returns has read nothing yet.
func New(cfg *rest.Config, opts Options) (ctrlmanager.Manager, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = clientQPS, clientBurst
	// Readiness is told by this machine's clock, which no answer of an API server sets.
	steady := opts.Clock
	now := &serverTime{WithTicker: steady}
	now.listen(cfg)
	heard := health.NewHeard(steady)
	cfg.Wrap(heard.Wrap)
	opts.Clock = now

	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("register the kinds: %w", err)
	}
	lock, err := newLock(cfg, opts)
	if err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme:                              scheme,
		Logger:                              opts.Log,
		Cache:                               cacheOptions(opts.PodNamespace),
		Controller:                          config.Controller{EnableWarmup: new(true), SkipNameValidation: new(true)},
		Metrics:                             metricsserver.Options{BindAddress: opts.MetricsAddr},
		LeaderElection:                      opts.LeaderElect,
		LeaderElectionID:                    LeaseName,
		LeaderElectionNamespace:             opts.PodNamespace,
		LeaderElectionResourceLockInterface: lock,
		LeaderElectionReleaseOnCancel:       true,
		LeaseDuration:                       &opts.LeaseDuration,
		RenewDeadline:                       &opts.RenewDeadline,
		RetryPeriod:                         &opts.RetryPeriod,
		GracefulShutdownTimeout:             &opts.ShutdownTimeout,
	})
	if err != nil {
		return nil, fmt.Errorf("make the manager: %w", err)
	}
	ready, err := newAvailability(mgr, cfg, opts, heard, steady)
	if err != nil {
		return nil, err
	}
	if err := wire(mgr, cfg, opts, ready); err != nil {
		return nil, err
	}
	return &gracefully{
		Manager: mgr, servers: ready.servers, drainer: ready.drainer, drain: opts.drain(), clock: opts.Clock, log: opts.Log,
		led: func() bool { return lock.renewedWithin(opts.LeaseDuration) },
	}, nil
}

// wire names everything that runs.
func wire(mgr ctrlmanager.Manager, cfg *rest.Config, opts Options, ready *availability) error {
	m, err := metrics.New(opts.Registry)
	if err != nil {
		return fmt.Errorf("register the metrics: %w", err)
	}
	clients, err := newClients(cfg, mgr.GetHTTPClient())
	if err != nil {
		return err
	}
	compiler, err := expr.NewCompiler(opts.ExpressionCacheSize)
	if err != nil {
		return fmt.Errorf("make the expression compiler: %w", err)
	}
	if err := metrics.RegisterExpressionCache(opts.Registry, func() metrics.CacheStats { return metrics.CacheStats(compiler.Stats()) }); err != nil {
		return fmt.Errorf("register the metrics: %w", err)
	}
	recorder := status.Recorder{EventRecorder: mgr.GetEventRecorder(eventSource)}
	objects := informer.New(clients, opts.Log.WithName("informer"))
	engine := audit.NewEngine(objects, compiler, opts.Clock, m)
	statuses := status.NewWriter(mgr.GetClient(), recorder, m)
	judging := webhook.NewEngine(objects, compiler, opts.Clock, m)
	entries := webhookcontroller.New(webhookcontroller.Options{
		Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Compiler: compiler, Metrics: m, Clock: opts.Clock, Objects: objects,
		Certificates: ready.certificates(), Namespace: opts.PodNamespace, Recovery: opts.recovery(),
		URL: opts.WebhookURL, Off: opts.WebhookAddr == off, Consumer: webhook.Consumer, InForce: judging.InForce,
	})
	policies := policy.New(policy.Options{
		Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Compiler: compiler, Metrics: m, Clock: opts.Clock, Objects: objects,
		Namespace: opts.PodNamespace, Recovery: opts.recovery(), InForce: judging.InForce, Webhook: entries,
	})
	entries.Policies = policies
	executor := action.NewExecutor(mgr.GetClient(), actions(mgr.GetClient(), mgr.GetAPIReader()), opts.PodNamespace, opts.PodName, opts.Clock, m)

	for _, c := range []interface {
		SetupWithManager(mgr ctrl.Manager) error
	}{
		rule.NewLoader(mgr.GetCache(), judging.ReleaseRule, engine, judging),
		policies,
		entries,
		rule.NewReconciler(mgr.GetCache(), engine, enforcement{policies, entries}, statuses, recorder, m),
		lifeline.New(lifeline.Options{
			Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Objects: objects, Executor: executor, Statuses: statuses,
			Recorder: recorder, Metrics: m, Clock: opts.Clock, Namespace: opts.PodNamespace,
			FluxNamespaces: opts.FluxNamespaces,
		}),
		intervention.New(mgr.GetClient(), opts.Clock, opts.InterventionRetention),
	} {
		if err := c.SetupWithManager(mgr); err != nil {
			return err
		}
	}
	warm := &warmth{mgr: mgr, objects: objects}
	for _, r := range []ctrlmanager.Runnable{objects, engine, &judge{Engine: judging, mgr: mgr}, warm} {
		if err := mgr.Add(r); err != nil {
			return fmt.Errorf("add a runnable: %w", err)
		}
	}
	ready.checks["caches"] = warm.check
	return ready.serve(mgr, opts, judging)
}

// actions are all that an Intervention can name.
func actions(c client.Client, reader client.Reader) map[v1alpha1.Action]action.Action {
	return map[v1alpha1.Action]action.Action{
		v1alpha1.ActionEvict: action.NewEvict(c, reader),
	}
}

func newClients(cfg *rest.Config, httpClient *http.Client) (informer.Clients, error) {
	dyn, err := dynamic.NewForConfigAndClient(cfg, httpClient)
	if err != nil {
		return informer.Clients{}, fmt.Errorf("make the dynamic client: %w", err)
	}
	meta, err := metadata.NewForConfigAndClient(cfg, httpClient)
	if err != nil {
		return informer.Clients{}, fmt.Errorf("make the metadata client: %w", err)
	}
	disco, err := discovery.NewDiscoveryClientForConfigAndClient(cfg, httpClient)
	if err != nil {
		return informer.Clients{}, fmt.Errorf("make the discovery client: %w", err)
	}
	return informer.Clients{Dynamic: dyn, Metadata: meta, Discovery: disco}, nil
}

// warmth makes a replica ready once its caches are: neither rules nor
// leadership have a say.
type warmth struct {
	mgr     ctrlmanager.Manager
	objects *informer.Set
	synced  atomic.Bool
}

// NeedLeaderElection is false: a standby is ready too.
func (w *warmth) NeedLeaderElection() bool { return false }

// Start waits for the caches.
func (w *warmth) Start(ctx context.Context) error {
	if w.mgr.GetCache().WaitForCacheSync(ctx) {
		w.synced.Store(true)
	}
	return nil
}

func (w *warmth) check(*http.Request) error {
	if !w.synced.Load() {
		return errors.New("the caches are not synced yet")
	}
	if !w.objects.Discovered() {
		return errors.New("the API server has not said yet what it serves")
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/fluxcd/pkg/runtime/logger"
	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/mainstay-dev/mainstay/controller/internal/manager"
)

const (
	// reachTimeout bounds one question to the API server.
	reachTimeout = 10 * time.Second

	// reachInCluster is how long a pod asks before it gives up: on a cluster
	// that is being started it comes before its network does, and the back-off
	// of a container that exits at once grows to five minutes.
	reachInCluster = 50 * time.Second
)

func newControllerCommand() *cobra.Command {
	var (
		opts       = manager.Default()
		logOptions logger.Options
		kubeconfig string
	)
	cmd := &cobra.Command{
		Use:   "controller",
		Short: "Run the controller",
		Long: `Run the controller: audit the cluster by its rules, watch its Lifelines and
heal them. Any number of replicas may run; the one that holds the Lease acts.
Losing the Lease ends the process with a non-zero exit code.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.Log = logger.NewLogger(logOptions)
			logger.SetLogger(opts.Log)
			return runController(cmd.Context(), kubeconfig, opts)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&kubeconfig, "kubeconfig", "", "Path to a kubeconfig. Without it: $KUBECONFIG, the pod's own service account, or ~/.kube/config.")
	bindManagerFlags(fs, &opts)
	logOptions.BindFlags(fs)
	return cmd
}

func bindManagerFlags(fs *pflag.FlagSet, opts *manager.Options) {
	if name := os.Getenv("POD_NAME"); name != "" {
		opts.PodName = name
	}
	if namespace := os.Getenv("POD_NAMESPACE"); namespace != "" {
		opts.PodNamespace = namespace
	}
	fs.StringVar(&opts.PodName, "pod-name", opts.PodName, "Name of this pod ($POD_NAME): the holder identity of the Lease.")
	fs.StringVar(&opts.PodNamespace, "pod-namespace", opts.PodNamespace, "Namespace of this pod ($POD_NAMESPACE): where the Lease and the Interventions are.")
	fs.BoolVar(&opts.LeaderElect, "leader-elect", opts.LeaderElect, "Act only while holding the Lease. Turn it off for local work with a single process.")
	fs.DurationVar(&opts.LeaseDuration, "leader-election-lease-duration", opts.LeaseDuration, "How long after the last renewal seen another replica may take the Lease. Small clusters may use 30s, with a renew deadline of 20s and a retry period of 5s.")
	fs.DurationVar(&opts.RenewDeadline, "leader-election-renew-deadline", opts.RenewDeadline, "How long the leader tries to renew before it gives up and exits.")
	fs.DurationVar(&opts.RetryPeriod, "leader-election-retry-period", opts.RetryPeriod, "Pause between two tries to take or renew the Lease.")
	fs.StringVar(&opts.MetricsAddr, "metrics-addr", opts.MetricsAddr, "Address of the metrics endpoint; 0 turns it off.")
	fs.StringVar(&opts.HealthAddr, "health-addr", opts.HealthAddr, "Address of /healthz and /readyz; 0 turns it off.")
	fs.StringVar(&opts.WebhookAddr, "webhook-addr", opts.WebhookAddr, "Address of the webhook that API servers call; 0 turns it off.")
	fs.StringVar(&opts.WebhookURL, "webhook-url", opts.WebhookURL, "Base URL that API servers are to call instead of the Service, https://host[:port], for a controller outside the cluster. The certificate is made for its host, too.")
	fs.BoolVar(&opts.WebhookCertRotation, "webhook-cert-rotation", opts.WebhookCertRotation, "Make and renew the Secret with the webhook's certificate. Turn it off where somebody else writes it, such as cert-manager.")
	fs.DurationVar(&opts.DrainTime, "drain-time", opts.DrainTime, "How long a replica that was told to stop goes on serving the webhook while callers find another one; 0 for none.")
	fs.StringSliceVar(&opts.FluxNamespaces, "flux-namespaces", opts.FluxNamespaces, "Namespaces of Flux: a Lifeline there sees the revision lag of all namespaces, any other that of its own. They are on the recovery path, too: see --recovery-namespaces.")
	fs.StringSliceVar(&opts.RecoveryNamespaces, "recovery-namespaces", opts.RecoveryNamespaces, "Namespaces that a rule must never keep from recovering, such as those of the network, the storage and the certificates, beside kube-system, kube-public, kube-node-lease, flux-system, --flux-namespaces and this pod's own. No rule with mode Admission judges their service accounts, but for Flux's, about what is in no namespace.")
	fs.StringSliceVar(&opts.RecoveryUsers, "recovery-users", opts.RecoveryUsers, "Users that no rule with mode Admission judges on the recovery path, nor about what is in no namespace, beside kube-controller-manager and the like: those of a provider's control plane. One that ends in * is all that begin so: eks:*")
	fs.DurationVar(&opts.InterventionRetention, "intervention-retention", opts.InterventionRetention, "How long an Intervention is kept.")
	fs.IntVar(&opts.ExpressionCacheSize, "expression-cache-size", opts.ExpressionCacheSize, "How many rules' compiled expressions are kept, and in how many times 64 KiB of memory.")
}

func runController(ctx context.Context, kubeconfig string, opts manager.Options) error {
	if err := opts.Validate(); err != nil {
		return err
	}
	cfg, err := restConfig(kubeconfig)
	if err != nil {
		return err
	}
	patience := time.Duration(0)
	if _, err := rest.InClusterConfig(); err == nil && kubeconfig == "" {
		patience = reachInCluster
	}
	if err := reach(ctx, cfg, patience, opts.Log); err != nil {
		return err
	}
	mgr, err := manager.New(cfg, opts)
	if err != nil {
		return err
	}
	opts.Log.Info("starting", "version", programVersion(), "podName", opts.PodName, "podNamespace", opts.PodNamespace)
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("run the controller: %w", err)
	}
	return nil
}

// restConfig follows kubectl: an explicit path, $KUBECONFIG, the pod's service
// account, the home directory.
func restConfig(path string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = path
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{}).ClientConfig()
	switch {
	case err == nil:
		return cfg, nil
	case path != "":
		return nil, fmt.Errorf("load the kubeconfig %s: %w", path, err)
	case clientcmd.IsEmptyConfig(err) || errors.Is(err, rest.ErrNotInCluster):
		return nil, fmt.Errorf("find a cluster: %w; pass --kubeconfig, set KUBECONFIG, or run in a pod", err)
	default:
		return nil, fmt.Errorf("load the kubeconfig: %w", err)
	}
}

// contextConfig is the config that kubectl uses with --kubeconfig and --context. One
// question may take as long as reachTimeout.
func contextConfig(path, name string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = path
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: name}).ClientConfig()
	switch {
	case clientcmd.IsEmptyConfig(err) && path == "":
		return nil, errors.New("find a cluster: there is no kubeconfig; pass --kubeconfig or set KUBECONFIG")
	case err != nil:
		return nil, fmt.Errorf("load the kubeconfig: %w", err)
	}
	cfg.Timeout = reachTimeout
	// kubectl's own rates: client-go's 5 a second take a minute for what 300 rules left.
	cfg.QPS, cfg.Burst = 50, 300
	return cfg, nil
}

// reach asks the API server for its version, so that a wrong address is an
// error that says so and not two minutes of silence. It asks again as long as
// patience lasts.
func reach(ctx context.Context, cfg *rest.Config, patience time.Duration, log logr.Logger) error {
	cfg = rest.CopyConfig(cfg)
	cfg.Timeout = reachTimeout
	client, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return fmt.Errorf("make a client for %s: %w", cfg.Host, err)
	}
	var last error
	ask := func(context.Context) (bool, error) {
		server, err := client.ServerVersion()
		if err != nil {
			last = err
			log.Info("cannot reach the API server yet", "host", cfg.Host, "err", err.Error())
			return false, nil
		}
		last = nil
		log.Info("reached the API server", "host", cfg.Host, "serverVersion", server.GitVersion)
		return true, nil
	}
	err = wait.PollUntilContextTimeout(ctx, 2*time.Second, max(patience, time.Second), true, ask)
	if last != nil {
		err = last
	}
	if err != nil {
		return fmt.Errorf("reach the API server at %s: %w; check --kubeconfig and the network", cfg.Host, err)
	}
	return nil
}

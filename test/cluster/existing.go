package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// envUseExisting is the variable of envtest with which a user says that the
	// cluster of KUBECONFIG is for tests. KUBECONFIG alone says no such thing.
	envUseExisting = "USE_EXISTING_CLUSTER"
	// workersFile lists the Nodes that were added to an existing cluster.
	workersFile = "workers"
	// fluxNamespace is where a cluster that is really used keeps its Flux.
	fluxNamespace = "flux-system"
	// forgetTimeout bounds the removal of the Nodes from an existing cluster.
	forgetTimeout = 30 * time.Second
)

// existingKubeconfig returns the path, or the list of paths as in KUBECONFIG, of the
// existing cluster that the options or the environment ask for; "" means none.
func existingKubeconfig(opts Options, getenv func(string) string) (string, error) {
	if opts.ExistingKubeconfig != "" {
		return opts.ExistingKubeconfig, nil
	}
	value := getenv(envUseExisting)
	if value == "" {
		return "", nil
	}
	use, err := strconv.ParseBool(value)
	if err != nil {
		return "", fmt.Errorf("%s=%q is neither true nor false", envUseExisting, value)
	}
	if !use {
		return "", nil
	}
	path := getenv("KUBECONFIG")
	if path == "" {
		return "", fmt.Errorf("%s=%s needs KUBECONFIG to name the cluster", envUseExisting, value)
	}
	return path, nil
}

// loadExisting reads the config of an existing cluster.
func loadExisting(path string) (*rest.Config, error) {
	rules := &clientcmd.ClientConfigLoadingRules{Precedence: filepath.SplitList(path)}
	for _, file := range rules.Precedence {
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("reading the existing cluster's kubeconfig: %w", err)
		}
	}
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the existing cluster's kubeconfig %s: %w", path, err)
	}
	cfg.QPS, cfg.Burst = clientQPS, clientBurst
	return cfg, nil
}

// useExisting makes the cluster of the kubeconfig this one's, once it is sure that
// nobody depends on it.
func (c *Cluster) useExisting(ctx context.Context, path string) error {
	var err error
	if c.cfg, err = loadExisting(path); err != nil {
		return err
	}
	if err := WriteKubeconfig(c.Kubeconfig(), c.cfg); err != nil {
		return err
	}
	if c.client, err = kubernetes.NewForConfig(c.cfg); err != nil {
		return fmt.Errorf("making a client of the existing cluster: %w", err)
	}
	if err := refuse(ctx, c.client, c.Workers()); err != nil {
		return fmt.Errorf("the existing cluster at %s cannot be used: %w", c.cfg.Host, err)
	}
	names := strings.Join(c.Workers(), "\n")
	if err := os.WriteFile(filepath.Join(c.dir, workersFile), []byte(names), 0o644); err != nil {
		return fmt.Errorf("recording the simulated workers: %w", err)
	}
	return nil
}

// lateRenewal is how late a worker on a loaded machine may be with its lease, however
// short that is, before it counts as gone.
const lateRenewal = 20 * time.Second

// refuse returns an error when the cluster is, or may be, in use.
func refuse(ctx context.Context, client kubernetes.Interface, names []string) error {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing its nodes: %w", err)
	}
	var errs []error
	for i := range nodes.Items {
		if node := &nodes.Items[i]; !simulated(node) {
			errs = append(errs, fmt.Errorf("node %s is not a simulated one (it has no annotation %s=%s)", node.Name, simulatedAnnotation, simulatedValue))
		}
	}
	_, err = client.CoreV1().Namespaces().Get(ctx, fluxNamespace, metav1.GetOptions{})
	switch {
	case err == nil:
		errs = append(errs, fmt.Errorf("it has a namespace %s", fluxNamespace))
	case !apierrors.IsNotFound(err):
		errs = append(errs, fmt.Errorf("looking for the namespace %s: %w", fluxNamespace, err))
	}
	for _, name := range names {
		lease, err := client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("looking at the lease of %s: %w", name, err))
			continue
		}
		if spec := lease.Spec; spec.RenewTime != nil && spec.LeaseDurationSeconds != nil &&
			time.Since(spec.RenewTime.Time) < max(lateRenewal, time.Duration(*spec.LeaseDurationSeconds)*time.Second) {
			errs = append(errs, fmt.Errorf("%s is run by somebody else, its lease was renewed at %s", name, spec.RenewTime.UTC().Format(time.RFC3339)))
		}
	}
	return errors.Join(errs...)
}

// forgetWorkers removes the Nodes that the cluster in dir added to an existing one.
// It takes no context: it has to be done also when the caller's has ended.
//
//nolint:contextcheck,nolintlint // what it silences is reported at the callers
func forgetWorkers(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, workersFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the simulated workers of %s: %w", dir, err)
	}
	cfg, err := loadExisting(filepath.Join(dir, kubeconfigFile))
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return fmt.Errorf("making a client of the existing cluster: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), forgetTimeout)
	defer cancel()
	return deleteWorkers(ctx, client, strings.Fields(string(text)))
}

package manager

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/utils/clock"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/mainstay-dev/mainstay/controller/internal/policy"
)

// Options of the program. Default fills in what most clusters want.
type Options struct {
	// PodName and PodNamespace are those of the downward API: the holder
	// identity of the Lease, and where the Lease and the Interventions are.
	PodName, PodNamespace string

	// LeaderElect is false for local work only: a second process then acts
	// beside the first.
	LeaderElect bool
	// LeaseDuration, RenewDeadline and RetryPeriod are those of client-go.
	LeaseDuration, RenewDeadline, RetryPeriod time.Duration

	// MetricsAddr and HealthAddr are listened on; "0" turns one off.
	MetricsAddr, HealthAddr string

	// WebhookAddr is listened on for API servers; "0" turns the webhook off.
	WebhookAddr string
	// WebhookURL is what API servers call instead of the Service; empty for the Service.
	WebhookURL string
	// WebhookCertRotation is false where somebody else writes the Secret with the
	// webhook's certificate.
	WebhookCertRotation bool
	// DrainTime is how long a replica that was told to stop goes on serving while callers
	// find another one; 0 for none.
	DrainTime time.Duration

	// FluxNamespaces are where Flux runs: a Lifeline there may see the
	// revision lag of all namespaces.
	FluxNamespaces []string

	// RecoveryNamespaces are added to those that a rule never denies the
	// control plane and Flux anything in: kube-system, kube-public,
	// kube-node-lease, flux-system, FluxNamespaces and PodNamespace.
	RecoveryNamespaces []string

	// RecoveryUsers are treated as kube-controller-manager is, such as those by which
	// a provider runs its control plane. One that ends in * is all that begin so.
	RecoveryUsers []string

	// InterventionRetention is how long an Intervention is kept. It must
	// outlive the hour over which evictions are budgeted.
	InterventionRetention time.Duration

	// ExpressionCacheSize bounds the compiled rules that are kept, in rules and in 64 KiB of memory.
	ExpressionCacheSize int

	// ShutdownTimeout bounds the graceful end.
	ShutdownTimeout time.Duration

	Log   logr.Logger
	Clock clock.WithTicker
	// Registry takes the metrics. Default's is the one that is served.
	Registry prometheus.Registerer
}

// maxRecoveryNamespaces and maxRecoveryUsers bound each list that is given.
const maxRecoveryNamespaces, maxRecoveryUsers = 64, 32

// recovery is what is given and what is on every recovery path, each once. Of Flux's
// namespaces none is infrastructure: what Flux applies is judged off the recovery path.
func (o Options) recovery() policy.Recovery {
	unique := func(lists ...[]string) []string {
		all := slices.Concat(lists...)
		slices.Sort(all)
		return slices.Compact(all)
	}
	return policy.Recovery{
		Namespaces: unique(policy.RecoveryNamespaces(), []string{o.PodNamespace}, o.FluxNamespaces, o.RecoveryNamespaces),
		Infrastructure: slices.DeleteFunc(unique([]string{metav1.NamespaceSystem}, o.RecoveryNamespaces), func(name string) bool {
			return name == policy.FluxNamespace || slices.Contains(o.FluxNamespaces, name)
		}),
		Users: unique(o.RecoveryUsers),
	}
}

func invalidNamespace(name string) string {
	if mistakes := validation.IsDNS1123Label(name); len(mistakes) > 0 {
		return "must be names of namespaces: " + mistakes[0]
	}
	return ""
}

// invalidRecoveryUser keeps an exemption of a few from being one of everybody, or of
// every workload.
func invalidRecoveryUser(name string) string {
	prefix, all := strings.CutSuffix(name, "*")
	switch {
	case prefix == "" || strings.Contains(prefix, "*"):
		return "must be the name of a user, or the beginning of one and *"
	case len(name) > 256:
		return "must be 256 bytes at most"
	case all && (strings.HasPrefix("system:serviceaccount:", prefix) || strings.HasPrefix(prefix, "system:serviceaccount:")): //nolint:gocritic // whether it is a beginning of that
		return "would be service accounts of any namespace: name one, or its namespace with --recovery-namespaces"
	}
	return ""
}

// off is the address that turns off what would listen there.
const off = "0"

func (o Options) invalidWebhookAddr() string {
	if o.WebhookAddr == off {
		return ""
	}
	_, port, err := net.SplitHostPort(o.WebhookAddr)
	if err != nil {
		return "must be [host]:port, or 0 to turn the webhook off"
	}
	if n, err := strconv.Atoi(port); err != nil || len(validation.IsValidPortNum(n)) > 0 {
		return "must have a port from 1 to 65535: others call it"
	}
	return ""
}

// invalidWebhookURL follows what an API server accepts of a webhook's URL, and leaves no
// room for a path: there are several.
func (o Options) invalidWebhookURL() string {
	if o.WebhookURL == "" {
		return ""
	}
	u, err := url.Parse(o.WebhookURL)
	switch {
	case err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil:
		return "must be https://host[:port]"
	case u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "must have no path: Mainstay adds its own"
	case o.WebhookAddr == off:
		return "needs the webhook, which --webhook-addr turns off"
	}
	return ""
}

// LeaseName is the name of the Lease in PodNamespace.
const LeaseName = "mainstay"

// Default returns the options that most clusters want. The lease timings are
// Kubernetes' own components'.
func Default() Options {
	return Options{
		PodNamespace:          "mainstay-system",
		LeaderElect:           true,
		LeaseDuration:         15 * time.Second,
		RenewDeadline:         10 * time.Second,
		RetryPeriod:           2 * time.Second,
		MetricsAddr:           ":8080",
		HealthAddr:            ":9440",
		WebhookAddr:           ":9443",
		WebhookCertRotation:   true,
		DrainTime:             10 * time.Second,
		FluxNamespaces:        []string{policy.FluxNamespace},
		InterventionRetention: 24 * time.Hour,
		ExpressionCacheSize:   2048,
		ShutdownTimeout:       5 * time.Second,
		Clock:                 clock.RealClock{},
		Registry:              ctrlmetrics.Registry,
	}
}

// Validate returns every mistake at once, by the name of its flag.
func (o Options) Validate() error {
	var errs field.ErrorList
	invalid := func(flag string, value any, why string) {
		errs = append(errs, field.Invalid(field.NewPath("--"+flag), value, why))
	}
	if o.PodName == "" {
		errs = append(errs, field.Required(field.NewPath("--pod-name"), "set it, or POD_NAME from the downward API"))
	}
	if o.PodNamespace == "" {
		errs = append(errs, field.Required(field.NewPath("--pod-namespace"), "set it, or POD_NAMESPACE from the downward API"))
	}
	if o.LeaderElect {
		if o.RetryPeriod <= 0 {
			invalid("leader-election-retry-period", o.RetryPeriod.String(), "must be greater than 0s")
		}
		if o.LeaseDuration <= o.RenewDeadline {
			invalid("leader-election-lease-duration", o.LeaseDuration.String(), fmt.Sprintf(
				"must be greater than --leader-election-renew-deadline (%s): a leader has to give up before another may take over", o.RenewDeadline))
		}
		// client-go's own condition: a renewal must be tried at least once
		// within the deadline, jitter included.
		if least := time.Duration(leaderelection.JitterFactor * float64(o.RetryPeriod)); o.RenewDeadline <= least {
			invalid("leader-election-renew-deadline", o.RenewDeadline.String(), fmt.Sprintf(
				"must be greater than %.1f times --leader-election-retry-period (%s)", leaderelection.JitterFactor, o.RetryPeriod))
		}
		if o.LeaseDuration > 0 && o.LeaseDuration < time.Second {
			invalid("leader-election-lease-duration", o.LeaseDuration.String(), "must be at least 1s: a Lease counts whole seconds")
		}
	}
	if why := o.invalidWebhookAddr(); why != "" {
		invalid("webhook-addr", o.WebhookAddr, why)
	}
	if why := o.invalidWebhookURL(); why != "" {
		invalid("webhook-url", o.WebhookURL, why)
	}
	if o.DrainTime < 0 {
		invalid("drain-time", o.DrainTime.String(), "must not be negative")
	}
	each := func(flag string, names []string, mistake func(name string) string, most int) {
		for _, name := range names {
			if why := mistake(name); why != "" {
				invalid(flag, name, why)
			}
		}
		if len(names) > most {
			invalid(flag, len(names), fmt.Sprintf("may be %d: each is a part of every policy", most))
		}
	}
	each("flux-namespaces", o.FluxNamespaces, invalidNamespace, maxRecoveryNamespaces)
	each("recovery-namespaces", o.RecoveryNamespaces, invalidNamespace, maxRecoveryNamespaces)
	each("recovery-users", o.RecoveryUsers, invalidRecoveryUser, maxRecoveryUsers)
	if o.InterventionRetention < 2*time.Hour {
		invalid("intervention-retention", o.InterventionRetention.String(), "must be at least 2h: evictions are budgeted by the hour from these records")
	}
	if o.ExpressionCacheSize < 1 {
		invalid("expression-cache-size", o.ExpressionCacheSize, "must be at least 1")
	}
	if err := errs.ToAggregate(); err != nil {
		return fmt.Errorf("invalid options: %w", err)
	}
	return nil
}

package manager

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/controller/internal/policy"
)

func TestOptionsSayEveryMistake(t *testing.T) {
	t.Parallel()
	valid := Default()
	valid.PodName = "mainstay-0"
	tests := map[string]struct {
		change func(*Options)
		want   string
	}{
		"the defaults": {change: func(*Options) {}},
		"small cluster": {change: func(o *Options) {
			o.LeaseDuration, o.RenewDeadline, o.RetryPeriod = 30*time.Second, 20*time.Second, 5*time.Second
		}},
		"no pod name": {
			change: func(o *Options) { o.PodName = "" },
			want:   `invalid options: --pod-name: Required value: set it, or POD_NAME from the downward API`,
		},
		"no namespace": {
			change: func(o *Options) { o.PodNamespace = "" },
			want:   `invalid options: --pod-namespace: Required value: set it, or POD_NAMESPACE from the downward API`,
		},
		"lease below the deadline": {
			change: func(o *Options) { o.LeaseDuration = 8 * time.Second },
			want:   `invalid options: --leader-election-lease-duration: Invalid value: "8s": must be greater than --leader-election-renew-deadline (10s): a leader has to give up before another may take over`,
		},
		"lease equal to the deadline": {
			change: func(o *Options) { o.LeaseDuration = 10 * time.Second },
			want:   `invalid options: --leader-election-lease-duration: Invalid value: "10s": must be greater than --leader-election-renew-deadline (10s): a leader has to give up before another may take over`,
		},
		"deadline below the retry": {
			change: func(o *Options) { o.RenewDeadline = 2 * time.Second },
			want:   `invalid options: --leader-election-renew-deadline: Invalid value: "2s": must be greater than 1.2 times --leader-election-retry-period (2s)`,
		},
		"no retry": {
			change: func(o *Options) { o.RetryPeriod = 0 },
			want:   `invalid options: --leader-election-retry-period: Invalid value: "0s": must be greater than 0s`,
		},
		"below a second": {
			change: func(o *Options) {
				o.LeaseDuration, o.RenewDeadline, o.RetryPeriod = 900*time.Millisecond, 500*time.Millisecond, 100*time.Millisecond
			},
			want: `invalid options: --leader-election-lease-duration: Invalid value: "900ms": must be at least 1s: a Lease counts whole seconds`,
		},
		"no election, no timings":       {change: func(o *Options) { o.LeaderElect, o.LeaseDuration = false, 0 }},
		"no webhook":                    {change: func(o *Options) { o.WebhookAddr = "0" }},
		"a webhook outside the cluster": {change: func(o *Options) { o.WebhookURL = "https://203.0.113.7:9443" }},
		"no drain":                      {change: func(o *Options) { o.DrainTime = 0 }},
		"a webhook on no address": {
			change: func(o *Options) { o.WebhookAddr = "9443" },
			want:   `invalid options: --webhook-addr: Invalid value: "9443": must be [host]:port, or 0 to turn the webhook off`,
		},
		"a webhook on any port": {
			change: func(o *Options) { o.WebhookAddr = ":0" },
			want:   `invalid options: --webhook-addr: Invalid value: ":0": must have a port from 1 to 65535: others call it`,
		},
		"a URL that is not https": {
			change: func(o *Options) { o.WebhookURL = "http://hook.example" },
			want:   `invalid options: --webhook-url: Invalid value: "http://hook.example": must be https://host[:port]`,
		},
		"a URL with a path": {
			change: func(o *Options) { o.WebhookURL = "https://hook.example/mainstay" },
			want:   `invalid options: --webhook-url: Invalid value: "https://hook.example/mainstay": must have no path: Mainstay adds its own`,
		},
		"a URL without a webhook": {
			change: func(o *Options) { o.WebhookURL, o.WebhookAddr = "https://hook.example", "0" },
			want:   `invalid options: --webhook-url: Invalid value: "https://hook.example": needs the webhook, which --webhook-addr turns off`,
		},
		"a drain that ends before it begins": {
			change: func(o *Options) { o.DrainTime = -time.Second },
			want:   `invalid options: --drain-time: Invalid value: "-1s": must not be negative`,
		},
		"a namespace that is none": {
			change: func(o *Options) { o.RecoveryNamespaces = []string{"cni", "Storage"} },
			want:   `invalid options: --recovery-namespaces: Invalid value: "Storage": must be names of namespaces: a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`,
		},
		"more namespaces than a policy should list": {
			change: func(o *Options) { o.RecoveryNamespaces = slices.Repeat([]string{"cni"}, 65) },
			want:   `invalid options: --recovery-namespaces: Invalid value: 65: may be 64: each is a part of every policy`,
		},
		"everybody": {
			change: func(o *Options) { o.RecoveryUsers = []string{"*"} },
			want:   `invalid options: --recovery-users: Invalid value: "*": must be the name of a user, or the beginning of one and *`,
		},
		"all that begin so, and something": {
			change: func(o *Options) { o.RecoveryUsers = []string{"eks:*-manager"} },
			want:   `invalid options: --recovery-users: Invalid value: "eks:*-manager": must be the name of a user, or the beginning of one and *`,
		},
		"those of namespaces that begin so": {
			change: func(o *Options) { o.RecoveryUsers = []string{"system:serviceaccount:kube-*"} },
			want:   `invalid options: --recovery-users: Invalid value: "system:serviceaccount:kube-*": would be service accounts of any namespace: name one, or its namespace with --recovery-namespaces`,
		},
		"every service account": {
			change: func(o *Options) { o.RecoveryUsers = []string{"eks:*", "system:*"} },
			want:   `invalid options: --recovery-users: Invalid value: "system:*": would be service accounts of any namespace: name one, or its namespace with --recovery-namespaces`,
		},
		"more users than a policy should list": {
			change: func(o *Options) { o.RecoveryUsers = slices.Repeat([]string{"eks:addon-manager"}, 33) },
			want:   `invalid options: --recovery-users: Invalid value: 33: may be 32: each is a part of every policy`,
		},
		"two mistakes at once": {
			change: func(o *Options) { o.InterventionRetention, o.ExpressionCacheSize = time.Minute, 0 },
			want:   `invalid options: [--intervention-retention: Invalid value: "1m0s": must be at least 2h: evictions are budgeted by the hour from these records, --expression-cache-size: Invalid value: 0: must be at least 1]`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := valid
			tc.change(&opts)
			got := ""
			if err := opts.Validate(); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRecoveryPathIsAMinimum(t *testing.T) {
	t.Parallel()
	opts := Default()
	opts.PodNamespace, opts.FluxNamespaces, opts.RecoveryNamespaces = "mainstay", []string{"gitops"}, []string{"cilium", "kube-system"}
	opts.RecoveryUsers = []string{"eks:*", "eks:*"}
	want := policy.Recovery{
		Namespaces:     []string{"cilium", "flux-system", "gitops", "kube-node-lease", "kube-public", "kube-system", "mainstay"},
		Infrastructure: []string{"cilium", "kube-system"},
		Users:          []string{"eks:*"},
	}
	if diff := cmp.Diff(want, opts.recovery()); diff != "" {
		t.Errorf("recovery path (-want +got):\n%s", diff)
	}
}

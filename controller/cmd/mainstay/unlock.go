package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"

	"github.com/mainstay-dev/mainstay/controller/internal/gate"
	"github.com/mainstay-dev/mainstay/controller/internal/manager"
)

// gateOptions say which cluster's gates are meant, with kubectl's flags.
type gateOptions struct {
	kubeconfig, context, namespace string
}

func (o *gateOptions) bind(fs *pflag.FlagSet) {
	fs.StringVar(&o.kubeconfig, "kubeconfig", "", "path to a kubeconfig (default $KUBECONFIG or ~/.kube/config)")
	fs.StringVar(&o.context, "context", "", "context of the kubeconfig (default its current one)")
	fs.StringVarP(&o.namespace, "namespace", "n", manager.Default().PodNamespace, "namespace that Mainstay is installed in")
}

// client of the cluster. One question may take as long as reachTimeout.
func (o *gateOptions) client() (*kubernetes.Clientset, error) {
	cfg, err := contextConfig(o.kubeconfig, o.context)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("make a client for %s: %w", cfg.Host, err)
	}
	return client, nil
}

func newUnlockCommand() *cobra.Command {
	var (
		opts   gateOptions
		reason string
	)
	cmd := &cobra.Command{
		Use:   "unlock --reason TEXT",
		Short: "Open all of Mainstay's gates until mainstay lock",
		Long: `Open all of Mainstay's gates: no rule denies or warns, also with no pod of Mainstay
alive. A ConfigMap in its namespace keeps them open, says who opened them and why, and
makes a running controller alert. mainstay lock closes them.

It needs the rights to create and get ConfigMaps in that namespace, to list and delete
ValidatingAdmissionPolicyBindings, and to get and patch the
ValidatingWebhookConfiguration mainstay.`,
		Example: `  mainstay unlock --reason "INC-4711: the web team cannot roll back"
  mainstay lock`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opening := gate.Opening{Namespace: opts.namespace, Reason: reason, Out: cmd.OutOrStdout()}
			if err := opening.Validate(); err != nil {
				return usageError(cmd, err)
			}
			client, err := opts.client()
			if err != nil {
				return fmt.Errorf("unlock: %w", err)
			}
			if err := gate.Open(cmd.Context(), client, opening); err != nil {
				return fmt.Errorf("unlock: %w", err)
			}
			return nil
		},
	}
	opts.bind(cmd.Flags())
	cmd.Flags().StringVar(&reason, "reason", "", "why, for whoever finds the gates open (required)")
	return cmd
}

func newLockCommand() *cobra.Command {
	var opts gateOptions
	cmd := &cobra.Command{
		Use:   "lock",
		Short: "Close the gates that mainstay unlock opened",
		Long: `Close the gates that mainstay unlock opened: its ConfigMap is deleted, and the
controller makes the gates again as soon as one leads.

It needs the rights to get and delete ConfigMaps in Mainstay's namespace.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := gate.ValidateNamespace(opts.namespace); err != nil {
				return usageError(cmd, err)
			}
			client, err := opts.client()
			if err != nil {
				return fmt.Errorf("lock: %w", err)
			}
			if err := gate.Close(cmd.Context(), client, opts.namespace, cmd.OutOrStdout()); err != nil {
				return fmt.Errorf("lock: %w", err)
			}
			return nil
		},
	}
	opts.bind(cmd.Flags())
	return cmd
}

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
	"github.com/mainstay-dev/mainstay/controller/internal/check/live"
)

// clusterOptions say which cluster to compare with, as kubectl's flags do.
type clusterOptions struct {
	compare    bool
	kubeconfig string
	context    string
}

func (o *clusterOptions) bind(fs *pflag.FlagSet) {
	fs.BoolVar(&o.compare, "cluster", false, "say, too, what rules that are new or changed would newly report in the live cluster, which is only read")
	fs.StringVar(&o.kubeconfig, "kubeconfig", "", "with --cluster, path to a kubeconfig (default $KUBECONFIG, the pod's own service account, or ~/.kube/config)")
	fs.StringVar(&o.context, "context", "", "with --cluster, context of the kubeconfig (default its current one)")
}

// connect to the cluster; nil where none is to be compared with.
func (o *clusterOptions) connect() (check.Live, error) {
	if !o.compare {
		if o.kubeconfig != "" || o.context != "" {
			return nil, errors.New("--kubeconfig and --context say which cluster --cluster compares with, and it is not given")
		}
		return nil, nil //nolint:nilnil // no cluster is asked for
	}
	cfg, err := contextConfig(o.kubeconfig, o.context)
	if err != nil {
		return nil, fmt.Errorf("--cluster: %w", err)
	}
	cluster, err := live.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("--cluster: %w", err)
	}
	return cluster, nil
}

// onCluster checks what a path's rules would newly report in the cluster.
func onCluster(ctx context.Context, checker *check.Checker, cluster check.Live, path rendered) (*check.Report, error) {
	report, err := checker.Cluster(ctx, path.result.Path, path.result, cluster)
	if err != nil {
		return nil, fmt.Errorf("--cluster: %w", err)
	}
	return report, nil
}

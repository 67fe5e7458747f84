// Command cluster runs a test cluster by hand.
//
//	go run ./test/cluster/cmd/cluster up -workers 3
//	go run ./test/cluster/cmd/cluster down <folder>
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/mainstay-dev/mainstay/test/cluster"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	log.SetFlags(0)
	if err != nil {
		log.Fatal("cluster: ", err)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) >= 1 && args[0] == "up":
		return up(ctx, args[1:])
	case len(args) == 2 && args[0] == "down":
		return cluster.StopDir(args[1])
	default:
		return fmt.Errorf("usage: cluster up [flags] | cluster down <folder>")
	}
}

func up(ctx context.Context, args []string) error {
	opts := cluster.Options{KeepRunning: true, Out: os.Stderr}
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	flags.IntVar(&opts.Workers, "workers", 3, "number of workers")
	flags.BoolVar(&opts.Real, "real", false, "real workers, on Linux as root, instead of simulated ones")
	flags.BoolVar(&opts.Audit, "audit", false, "log every request to audit.log in the cluster's folder")
	flags.DurationVar(&opts.NodeMonitorGracePeriod, "node-monitor-grace-period", 0, "silence after which a worker is NotReady; 0 means Kubernetes' default")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c, err := cluster.Start(ctx, opts)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(os.Stdout, "export KUBECONFIG=%s\n# kubectl: %s\n# stop it: go run ./test/cluster/cmd/cluster down %s\n",
		c.Kubeconfig(), c.KubectlPath(), c.Dir())
	return err
}

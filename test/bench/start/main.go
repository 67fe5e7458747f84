// Command start measures how long a test cluster takes to start and to stop, and
// writes the figures to <out>/start.json. Programs that the cache lacks are built
// before the first run, outside of what is measured.
//
//	go run ./test/bench/start -runs 3
//
// With -real the workers are real, Flux is started on them until a commit is live, and the
// figures are those of start-real.json. It takes Linux and root.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/mainstay-dev/mainstay/test/bench"
	"github.com/mainstay-dev/mainstay/test/cluster"
	"github.com/mainstay-dev/mainstay/test/cluster/tools"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	log.SetFlags(0)
	if err != nil {
		log.Fatal("bench start: ", err)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("start", flag.ContinueOnError)
	runs := flags.Int("runs", 3, "how often to start a cluster")
	workers := flags.Int("workers", 3, "workers of each cluster")
	real := flags.Bool("real", false, "real workers, and Flux until a commit is live (Linux, root)")
	dir := flags.String("out", "build/bench", "folder for start.json")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *runs < 1 {
		return fmt.Errorf("-runs: %d is below 1", *runs)
	}
	builder, err := tools.Default(out)
	if err != nil {
		return err
	}
	if _, err := builder.Build(ctx, tools.ControlPlane()...); err != nil {
		return err
	}
	if *real {
		return runReal(ctx, *runs, *workers, *dir, out)
	}
	var up, down []float64
	for number := range *runs {
		began := time.Now()
		c, err := cluster.Start(ctx, cluster.Options{Workers: *workers, Out: out})
		if err != nil {
			return err
		}
		up = append(up, time.Since(began).Seconds())
		began = time.Now()
		if err := c.Stop(); err != nil {
			return err
		}
		down = append(down, time.Since(began).Seconds())
		_, _ = fmt.Fprintf(out, "run %d of %d: %d workers Ready after %.2f s, stopped in %.2f s\n", number+1, *runs, *workers, up[number], down[number])
	}
	return bench.Write(*dir, bench.Result{Name: "start", Metrics: map[string]bench.Metric{
		"ready":   bench.Of("s", up...),
		"stop":    bench.Of("s", down...),
		"workers": {Value: float64(*workers), Unit: "workers"},
	}})
}

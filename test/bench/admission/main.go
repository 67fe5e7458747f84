// Command admission measures what rules cost a request, and what becomes of requests
// while replicas of Mainstay come and go. It sends dry-run creations of ConfigMaps at a
// fixed rate to a real API server, beside which real replicas run, and writes the
// figures to <out>/admission.json.
//
//	go run ./test/bench/admission -rate 500 -for 10s -runs 3
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/mainstay-dev/mainstay/test/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	log.SetFlags(0)
	if err != nil {
		log.Fatal("bench admission: ", err)
	}
}

// handlerP99 is what the handler has for a review by ten rules.
const handlerP99 = 3 * time.Millisecond

// options are the flags.
type options struct {
	rate   int
	length time.Duration
	runs   int
	http1  bool
	only   string
	out    io.Writer
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	opts := options{out: out}
	flags := flag.NewFlagSet("admission", flag.ContinueOnError)
	flags.IntVar(&opts.rate, "rate", 500, "requests per second")
	flags.DurationVar(&opts.length, "for", 10*time.Second, "how long each measurement of latency takes")
	flags.IntVar(&opts.runs, "runs", 3, "how often latency is measured without and with rules, and how often each change is made")
	flags.BoolVar(&opts.http1, "http1", false, "have the API server call as it calls a Service, over HTTP/1.1, instead of over HTTP/2 as its own host: beyond 25 calls at once each is a connection of its own")
	flags.StringVar(&opts.only, "only", "", "latency or changes, for one half alone")
	dir := flags.String("out", "build/bench", "folder for admission.json")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if opts.runs < 1 || opts.rate < 1 || opts.length < time.Second {
		return errors.New("-runs and -rate are 1 at least, -for 1s")
	}
	work, err := os.MkdirTemp("", "mainstay-bench-admission-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	b, err := start(ctx, work, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	metrics := map[string]bench.Metric{"rate": {Value: float64(opts.rate), Unit: "requests/s"}}
	var missed []error
	if opts.only != "changes" {
		if err := b.latency(ctx, metrics); err != nil {
			return err
		}
		if got := metrics["webhook_10_handler_p99"]; got.Value > handlerP99.Seconds() {
			missed = append(missed, fmt.Errorf("ten rules take the handler %.2f ms, p99, and it has %s", 1e3*got.Value, handlerP99))
		}
	}
	if opts.only != "latency" {
		lost, err := b.changes(ctx, metrics)
		if err != nil {
			return err
		}
		missed = append(missed, lost)
	}
	// Figures that miss their target are figures, too.
	return errors.Join(append(missed, bench.Write(*dir, bench.Result{Name: "admission", Metrics: metrics}))...)
}

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
	"path/filepath"
	"syscall"
	"time"

	"github.com/mainstay-dev/mainstay/test/cluster/tools"
	"github.com/mainstay-dev/mainstay/test/drill/record"
	"github.com/mainstay-dev/mainstay/test/faults"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first interrupt stops cleanly, the second at once; the cluster's watchdog
	// cleans up then.
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		log.Fatal("drill: ", err)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	all := faults.All()
	opts, err := parse(args, faultNames(all))
	if err != nil {
		return err
	}
	root, err := tools.Root()
	if err != nil && (!opts.reportOnly || opts.out == "") {
		return err
	}
	opts.out = opts.folder(root)
	store, err := record.Open(filepath.Join(opts.out, "runs"))
	if err != nil {
		return err
	}
	d := &drill{
		opts: opts, root: root, store: store, faults: all, machine: machine(),
		progress: &progress{
			out: out, now: time.Now, began: time.Now(),
			items: schedule(opts, subjectsOf(all)), done: map[record.Key]record.Run{},
		},
	}
	if opts.reportOnly {
		return d.report()
	}
	if len(d.progress.items) == 0 {
		return errors.New("these flags choose no run: -short has clusterip-broken for stock and patches and worker-dead for mainstay, each with kustomize-controller")
	}
	if opts.fresh && !opts.list {
		for _, it := range d.progress.items {
			if err := store.Forget(it.Key); err != nil {
				return err
			}
		}
	}
	if err := d.resume(); err != nil {
		return err
	}
	if opts.list {
		d.list(out)
		return nil
	}
	return errors.Join(d.run(ctx), d.report())
}

// list prints the faults and the runs that are left.
func (d *drill) list(out io.Writer) {
	for _, f := range d.faults {
		_, _ = fmt.Fprintf(out, "%s\n    %s\n", f.Name, f.Description)
		if err := f.Supported(); err != nil {
			_, _ = fmt.Fprintf(out, "    %v\n", err)
		}
	}
	left, measured := d.progress.left()
	bound := "at most "
	if measured {
		bound = "about "
	}
	_, _ = fmt.Fprintf(out, "\n%d of %d runs are recorded, %s%s are left:\n", len(d.progress.done), len(d.progress.items), bound, left.Round(time.Minute))
	for _, it := range d.progress.items {
		if _, known := d.progress.done[it.Key]; !known {
			_, _ = fmt.Fprintf(out, "%s (cap %s)\n", it.Key, it.limit)
		}
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/test/drill/record"
	"github.com/mainstay-dev/mainstay/test/drill/report"
	"github.com/mainstay-dev/mainstay/test/faults"
)

// maxProblems is how many runs in a row may end without a measurement before the
// drill gives up: something is wrong then that the next cluster has too.
const maxProblems = 3

// drill makes the runs.
type drill struct {
	opts     options
	root     string
	machine  string
	store    *record.Store
	faults   []faults.Fault
	progress *progress
	// measuring is the digest of this program, and setups those of the variants with it.
	measuring string
	setups    map[string]string
	bed       *bed // the cluster that stands, nil when none does
}

// resume finds out which runs have a record that still holds.
func (d *drill) resume() error {
	d.setups = map[string]string{}
	var err error
	if d.measuring, err = measuring(d.root); err != nil {
		return fmt.Errorf("finding out what measures: %w", err)
	}
	for _, variant := range d.opts.variants {
		setup, err := digest(d.root, variant, d.measuring)
		if err != nil {
			return fmt.Errorf("finding out what variant %s installs: %w", variant, err)
		}
		d.setups[variant] = setup
	}
	for _, it := range d.progress.items {
		if _, err := d.recorded(it); err != nil {
			return err
		}
	}
	return nil
}

// recorded says whether a run has a record that still holds, which another drill may
// have made meanwhile.
func (d *drill) recorded(it item) (bool, error) {
	run, found, err := d.store.Get(it.Key)
	if err != nil || !found || !run.Answers(d.setups[it.Variant], it.limit) {
		return false, err
	}
	d.progress.done[it.Key] = run
	return true, nil
}

// run makes the runs that have no record. Whatever it returns with, no cluster
// stands any more and each run that was finished has its record. A run without a
// measurement does not end the drill, and is an error once the others are made.
func (d *drill) run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, d.tearDown()) }()
	problems := 0
	var unmeasured []string
	for _, it := range d.progress.items {
		known, err := d.recorded(it)
		if err != nil {
			return err
		}
		if known {
			continue
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("stopped before %s: %w", it.Key, context.Cause(ctx))
		}
		d.progress.starting(it)
		run := d.attempt(ctx, it)
		if ctx.Err() != nil {
			return fmt.Errorf("stopped in %s, which has no record: %w", it.Key, context.Cause(ctx))
		}
		if err := d.store.Put(run); err != nil {
			return err
		}
		d.progress.finished(run)
		if err := d.report(); err != nil {
			return err
		}
		if run.Problem == "" {
			problems = 0
			continue
		}
		unmeasured = append(unmeasured, run.String())
		if problems++; problems == maxProblems {
			return fmt.Errorf("%d runs in a row have no measurement, the last one: %s", problems, run.Problem)
		}
	}
	if len(unmeasured) > 0 {
		return fmt.Errorf("%d of %d runs have no measurement, %s has the reasons, and the same command makes them again: %s",
			len(unmeasured), len(d.progress.items), report.MarkdownFile, strings.Join(unmeasured, ", "))
	}
	return nil
}

// attempt makes one run and its record. A run that goes wrong is made once more, on a
// new cluster.
func (d *drill) attempt(ctx context.Context, it item) record.Run {
	run := record.Run{Key: it.Key, Setup: d.setups[it.Variant], CapSeconds: it.limit.Seconds(), Started: time.Now()}
	if it.unsupported != nil {
		run.Unsupported = it.unsupported.Error()
		return run
	}
	rebuilt := ""
	for try := 1; ; try++ {
		run.Started = time.Now()
		err := d.one(ctx, it, &run)
		if err == nil {
			break
		}
		d.progress.say("no measurement: %v", err)
		if tearDown := d.tearDown(); tearDown != nil {
			err = errors.Join(err, tearDown)
		}
		if try == 2 || ctx.Err() != nil {
			run.Problem = err.Error()
			run.Measured = nil
			break
		}
		rebuilt = "the run before had no measurement: " + err.Error()
	}
	if rebuilt != "" && run.Evidence.Rebuilt == "" {
		run.Evidence.Rebuilt = rebuilt
	}
	run.TookSeconds = time.Since(run.Started).Seconds()
	return run
}

// ready has a cluster with a variant at rest, and says why it had to be built anew
// although one stood.
func (d *drill) ready(ctx context.Context, variant string) (rebuilt string, err error) {
	if d.bed != nil && d.bed.variant == variant {
		err := d.bed.rest(ctx)
		if err == nil || ctx.Err() != nil {
			return "", err
		}
		rebuilt = err.Error()
		d.progress.say("building the cluster anew: %v", err)
	}
	if err := d.tearDown(); err != nil {
		d.progress.say("ending the cluster: %v", err)
	}
	began := time.Now()
	// What is installed now need not be what was there when the drill began.
	if d.setups[variant], err = digest(d.root, variant, d.measuring); err != nil {
		return rebuilt, fmt.Errorf("finding out what variant %s installs: %w", variant, err)
	}
	bed, err := newBed(ctx, variant, d.setups[variant], d.root, d.progress.out)
	if err != nil {
		return rebuilt, err
	}
	d.bed = bed
	d.progress.say("a cluster with %s delivers after %.0f s", variant, time.Since(began).Seconds())
	return rebuilt, d.bed.rest(ctx)
}

func (d *drill) tearDown() error {
	if d.bed == nil {
		return nil
	}
	bed := d.bed
	d.bed = nil
	if err := bed.close(); err != nil {
		return fmt.Errorf("ending the cluster with %s: %w", bed.variant, err)
	}
	return nil
}

// report writes the report of what is recorded, also by earlier drills.
func (d *drill) report() error {
	runs, err := d.store.All()
	if err != nil {
		return err
	}
	setting := report.Setting{Variants: variants(), Controllers: controllers(), Machine: d.machine, Versions: map[string]string{}}
	for _, f := range d.faults {
		setting.Faults = append(setting.Faults, report.Fault{Name: f.Name, Description: f.Description})
	}
	newest := slices.Clone(runs)
	slices.SortFunc(newest, func(a, b record.Run) int { return a.Started.Compare(b.Started) })
	for _, run := range newest {
		maps.Copy(setting.Versions, run.Versions)
	}
	r := report.New(setting, runs)
	if err := r.Write(d.opts.out); err != nil {
		return err
	}
	if d.opts.docs != "" {
		return publish(r, d.opts.docs)
	}
	return nil
}

func (d *drill) fault(name string) (faults.Fault, error) {
	for _, f := range d.faults {
		if f.Name == name {
			return f, nil
		}
	}
	return faults.Fault{}, fmt.Errorf("there is no fault %q", name)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/mainstay-dev/mainstay/test/drill/record"
	"github.com/mainstay-dev/mainstay/test/faults"
	"github.com/mainstay-dev/mainstay/test/stall"
)

const (
	// baseline is how long the healthy cluster is measured before the fault may come,
	// and phase the length of the window in which it comes at random: as long as the
	// longest of the periods, of polls and of renewals, that it may meet.
	baseline = 10 * time.Second
	phase    = 10 * time.Second
	// injectTimeout and healTimeout bound what a fault takes. Injecting waits up to two
	// minutes, for a drain or for a first kill, and healing starts a whole cluster at
	// most.
	injectTimeout = 3 * time.Minute
	healTimeout   = 3 * time.Minute
)

// shot is one fault on its way.
type shot struct {
	item   item
	fault  faults.Fault
	target faults.Target
	meter  *stall.Meter
	seen   *witness
	// at is the moment of the fault on the meter's clock, and since on ours.
	at    time.Duration
	since time.Time
}

// one makes one run: everything of it that can fail.
func (d *drill) one(ctx context.Context, it item, run *record.Run) (err error) {
	s := shot{item: it, target: faults.Target{}}
	if s.fault, err = d.fault(it.Fault); err != nil {
		return err
	}
	rebuilt, err := d.ready(ctx, it.Variant)
	run.Evidence.Rebuilt = rebuilt
	if err != nil {
		return err
	}
	run.Versions, run.Setup = d.bed.versions, d.bed.setup
	s.target.Cluster = d.bed.cluster
	if it.Controller != "" {
		s.target.Worker, s.target.Namespace, s.target.App = home(it.Controller), fluxNamespace, it.Controller
	}
	path := d.bed.path(it.Controller)
	if s.seen, err = newWitness(ctx, d.bed.client, d.bed.logs, path.delivery, it.Controller, s.target.Worker); err != nil {
		return err
	}
	if s.meter, err = stall.Start(ctx, path.meter); err != nil {
		return err
	}
	defer s.meter.Stop()
	if err := pause(ctx, baseline+rand.N(phase)); err != nil {
		return err
	}

	s.at, s.since = s.meter.Now(), time.Now()
	run.Load = thisHost().load()
	s.seen.watch(ctx, s.since, func() bool { return s.meter.Stalled(s.at) })
	err = d.shoot(ctx, &s, run)
	run.Evidence = s.seen.finish(ctx)
	run.Evidence.Rebuilt = rebuilt
	if healErr := d.heal(ctx, &s); healErr != nil {
		if err != nil {
			return errors.Join(err, healErr)
		}
		// The measurement stands. The cluster does not.
		run.Evidence.Notes = append(run.Evidence.Notes, healErr.Error())
		return d.tearDown()
	}
	return err
}

// shoot injects the fault and measures what it does.
func (d *drill) shoot(ctx context.Context, s *shot, run *record.Run) error {
	injecting, cancel := context.WithTimeout(ctx, injectTimeout)
	defer cancel()
	if err := s.fault.Inject(injecting, s.target); err != nil {
		return err
	}
	run.InjectSeconds = time.Since(s.since).Seconds()
	d.progress.say("%s is in force after %.1f s", s.fault.Name, run.InjectSeconds)
	healed := make(chan error, 1)
	go func() { healed <- d.healInTime(ctx, s) }()
	err := d.observe(ctx, s)
	if err == nil {
		var result stall.Result
		result, err = s.meter.Measure(s.at, baseline)
		run.Measured = &result
		if after := thisHost().load(); run.Load != nil && after != nil {
			run.Load.After = after.Before
		}
	}
	return errors.Join(err, <-healed)
}

// healInTime ends a fault that lasts for a time of its own when that is over.
func (d *drill) healInTime(ctx context.Context, s *shot) error {
	if s.fault.Lasts == 0 {
		return nil
	}
	if err := pause(ctx, s.fault.Lasts); err != nil {
		return err
	}
	return d.heal(ctx, s)
}

// observe waits until commits have been live again for a while without a gap, or the
// cap is over. A commit that slips through before the fault bites does not end it.
func (d *drill) observe(ctx context.Context, s *shot) error {
	recovered, err := s.meter.AwaitRecovery(ctx, s.at, s.item.limit)
	if err != nil || !recovered {
		return err
	}
	d.progress.say("live again %.1f s after the fault", time.Since(s.since).Seconds())
	if err := s.meter.AwaitCalm(ctx, s.at, afterwards(s.item.Key, d.opts.short), s.item.limit); err != nil {
		return err
	}
	return s.meter.Err()
}

// heal ends a fault. Where the drill is being stopped the end of the cluster does.
func (d *drill) heal(ctx context.Context, s *shot) error {
	if ctx.Err() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, healTimeout)
	defer cancel()
	return s.fault.Heal(ctx, s.target)
}

// pause lets time pass.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("waiting for %s: %w", d, context.Cause(ctx))
	case <-timer.C:
		return nil
	}
}

package main

import (
	"slices"
	"time"

	"github.com/mainstay-dev/mainstay/test/drill/record"
	"github.com/mainstay-dev/mainstay/test/stall"
)

// subject is what the plan needs to know of a fault.
type subject struct {
	name string
	// perController says that the fault hits one worker or one process, so that it
	// matters whose. Other faults hit the whole cluster.
	perController bool
	// unsupported says why this machine cannot produce it.
	unsupported error
}

// item is one run that is to be made.
type item struct {
	record.Key
	// limit is how long the fault is given to be recovered from.
	limit time.Duration
	// unsupported says why it cannot be made on this machine.
	unsupported error
}

// schedule lists the runs in the order in which they are made: by variant, so that a
// cluster is built once for each, and then by number, so that a drill that is stopped
// has as many runs of one fault as of another.
func schedule(opts options, subjects []subject) []item {
	var items []item
	for _, variant := range opts.variants {
		runs := opts.runs
		if variant == variantStock {
			// A stall of many minutes needs no percentile.
			runs = 1
		}
		for number := 1; number <= runs; number++ {
			for i, controller := range opts.controllers {
				for _, s := range subjects {
					if !slices.Contains(opts.faults, s.name) {
						continue
					}
					key := record.Key{Variant: variant, Fault: s.name, Controller: controller, Number: number}
					if !s.perController {
						if i > 0 {
							continue
						}
						key.Controller = ""
					}
					limit := opts.limit
					if opts.short {
						var included bool
						if limit, included = inShort(key, opts.limit); !included {
							continue
						}
					}
					items = append(items, item{Key: key, limit: limit, unsupported: s.unsupported})
				}
			}
		}
	}
	return items
}

// Faults of the short drill, by their names in test/faults.
const (
	faultIncident   = "clusterip-broken"
	faultWorkerDead = "worker-dead"
)

// inShort says whether the short drill makes a run, and how much time it gives it.
func inShort(key record.Key, limit time.Duration) (time.Duration, bool) {
	if key.Controller != controllers()[0] || key.Number > 1 {
		return 0, false
	}
	switch key.Variant {
	case variantStock:
		return min(limit, shortStockCap), key.Fault == faultIncident
	case variantPatches:
		return min(limit, shortCap), key.Fault == faultIncident
	}
	return min(limit, shortCap), key.Fault == faultWorkerDead
}

// afterwards is for how long a fault stays in force and is measured while commits are
// live without a gap: what it does later than that is not seen. It is longer than the
// longest gap that is none, so that one that has begun is told from the calm.
func afterwards(key record.Key, short bool) time.Duration {
	switch {
	case short:
		return 2 * stall.MaxGap
	case key.Fault == "kubelet-dead" && key.Variant == variantStock:
		// The pods work on. Kubernetes replaces them after 50 s and 300 s more, and
		// that is when something may stop.
		return 450 * time.Second
	case key.Fault == "kubelet-dead":
		// The patches make that 50 s and 10 s.
		return 150 * time.Second
	case key.Number == 1:
		// The first run finds a fault that bites only once a lease, a cache or an open
		// connection is at its end.
		return 90 * time.Second
	default:
		return 30 * time.Second
	}
}

package main

import (
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Variants: what is installed.
const (
	variantStock    = "stock"
	variantPatches  = "patches"
	variantMainstay = "mainstay"
)

func variants() []string { return []string{variantStock, variantPatches, variantMainstay} }

// controllers are those whose leader's worker is hit, in the order of the runs.
func controllers() []string {
	return []string{"kustomize-controller", "source-controller", "helm-controller"}
}

// Caps of the drill and of its short form.
const (
	defaultCap    = 10 * time.Minute
	shortCap      = 2 * time.Minute
	shortStockCap = time.Minute
)

// options of one drill.
type options struct {
	variants, faults, controllers []string
	limit                         time.Duration
	runs                          int
	short, fresh, reportOnly      bool
	list                          bool
	out, docs                     string
}

// parse reads the command line. known are the names of the faults.
func parse(args, known []string) (options, error) {
	var o options
	var names, faults, hit string
	flags := flag.NewFlagSet("drill", flag.ContinueOnError)
	flags.StringVar(&names, "variants", strings.Join(variants(), ","), "what to measure")
	flags.StringVar(&faults, "faults", "", "faults to inject; without it, all: "+strings.Join(known, ","))
	flags.StringVar(&hit, "controllers", strings.Join(controllers(), ","), "whose leader's worker, or whose process, is hit")
	flags.DurationVar(&o.limit, "cap", defaultCap, "how long a fault is given to be recovered from")
	flags.IntVar(&o.runs, "runs", 1, "how often to run each fault on the variants other than stock; a p95 needs 20")
	flags.BoolVar(&o.short, "short", false, "run a fault for each variant with short caps, in about 10 minutes")
	flags.BoolVar(&o.fresh, "fresh", false, "forget the records of the runs that are chosen")
	flags.BoolVar(&o.reportOnly, "report", false, "run nothing, write the report of what is recorded")
	flags.BoolVar(&o.list, "list", false, "run nothing, print the faults and the runs that are left")
	flags.StringVar(&o.out, "out", "", "folder for records and report (default build/drill in the checkout, with -short build/drill/short)")
	flags.StringVar(&o.docs, "docs", "", "folder whose recovery.md and recovery-stall.svg get the report too")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	var err [3]error
	o.variants, err[0] = choose("variants", names, variants())
	o.controllers, err[1] = choose("controllers", hit, controllers())
	o.faults, err[2] = choose("faults", faults, known)
	if o.limit < time.Second {
		err[0] = errors.Join(err[0], fmt.Errorf("-cap: %s is below 1s", o.limit))
	}
	if o.runs < 1 {
		err[0] = errors.Join(err[0], fmt.Errorf("-runs: %d is below 1", o.runs))
	}
	return o, errors.Join(err[:]...)
}

// folder is where records and report are, in a checkout unless -out says otherwise.
func (o options) folder(root string) string {
	switch {
	case o.out != "":
		return o.out
	case o.short:
		return filepath.Join(root, "build", "drill", "short")
	default:
		return filepath.Join(root, "build", "drill")
	}
}

// choose returns those of known that a list with commas names, in the order of
// known; an empty list names all.
func choose(flagName, list string, known []string) ([]string, error) {
	if list == "" {
		return known, nil
	}
	wanted := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
	if len(wanted) == 0 {
		return nil, fmt.Errorf("-%s: %q has no name in it, there are: %s", flagName, list, strings.Join(known, ", "))
	}
	for _, name := range wanted {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("-%s: there is no %q, there are: %s", flagName, name, strings.Join(known, ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(known), func(name string) bool { return !slices.Contains(wanted, name) }), nil
}

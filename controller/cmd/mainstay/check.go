package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/check"
	"github.com/mainstay-dev/mainstay/controller/internal/check/output"
	"github.com/mainstay-dev/mainstay/controller/internal/render"
)

// rulesFromPack and noRules are the values of --rules that are no path.
const (
	rulesFromPack = "pack"
	noRules       = "none"
)

// checkOptions are the flags of check.
type checkOptions struct {
	render  render.Options
	rules   []string
	workers int
	against string
	cluster clusterOptions
	output  string
	failOn  string
}

func newCheckCommand() *cobra.Command {
	opts := checkOptions{
		rules: []string{rulesFromPack}, workers: check.DefaultWorkers,
		output: string(output.Table), failOn: string(v1alpha1.SeverityHigh),
	}
	cmd := &cobra.Command{
		Use:   "check PATH...",
		Short: "Say what manifests would do to a cluster, before they are merged",
		Long: `Renders the kustomization at each PATH, with what flux-operator makes of its
FluxInstances, and judges what comes out: whether every patch hits something and
really changes it, whether every rule holds, and what the loss of one worker
would stop. No cluster is needed, nor asked without --cluster.

It exits with 0 when there is no finding at or above --fail-on, with 1 when
there is one, and with 2 when it could not check.`,
		Example: `  mainstay check clusters/production
  mainstay check clusters/*/ --against origin/main -o github
  mainstay check clusters/production --distribution gotk-components.yaml --rules ./rules`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCheck(cmd, args, opts)
		},
	}
	bindCheckFlags(cmd.Flags(), &opts)
	return cmd
}

func bindCheckFlags(fs *pflag.FlagSet, opts *checkOptions) {
	fs.StringVar(&opts.render.Distribution, "distribution", "", "Flux's manifests for the FluxInstances: a folder, a gotk-components.yaml, or oci:// and a reference")
	fs.StringVar(&opts.render.Root, "root", "", "folder that no file may be outside of (default the Git repository of PATH, else PATH)")
	fs.StringSliceVar(&opts.rules, "rules", opts.rules, "rules and Lifelines to judge by, beside those of PATH: files, folders, pack (those that Mainstay ships) or none")
	fs.IntVar(&opts.workers, "workers", opts.workers, "how many workers to assume; with 1, Lifelines are not judged")
	fs.StringVar(&opts.against, "against", "", "Git revision to compare with: only what is new or fixed is shown, and only what is new counts")
	opts.cluster.bind(fs)
	fs.StringVarP(&opts.output, "output", "o", opts.output, "table, json, sarif, junit or github")
	fs.StringVar(&opts.failOn, "fail-on", opts.failOn, "least severity that makes it exit with 1: info, low, medium, high, critical, or never")
}

func runCheck(cmd *cobra.Command, paths []string, opts checkOptions) error {
	format, err := output.Parse(opts.output)
	if err != nil {
		return withExit(exitCannot, fmt.Errorf("--output: %w", err))
	}
	limit := check.Rank(v1alpha1.Severity(opts.failOn))
	if opts.failOn == "never" {
		limit = len(check.Severities())
	} else if limit < 0 {
		return withExit(exitCannot, fmt.Errorf("--fail-on is %q, want info, low, medium, high, critical or never", opts.failOn))
	}
	if opts.against == "" && cmd.Flags().Changed("against") {
		return withExit(exitCannot, errors.New("--against is empty: give it a revision, or leave it out"))
	}
	report, err := checkAll(cmd.Context(), paths, opts)
	if err != nil {
		return withExit(exitCannot, err)
	}
	if err := output.Write(cmd.OutOrStdout(), format, programVersion(), report); err != nil {
		return withExit(exitCannot, err)
	}
	if worst := report.Worst(); worst != "" && check.Rank(worst) >= limit {
		return withExit(exitFindings, fmt.Errorf("the worst finding is %s, and --fail-on is %s", worst, opts.failOn))
	}
	return nil
}

// checkAll checks every path, against another revision where one is given.
func checkAll(ctx context.Context, paths []string, opts checkOptions) (*check.Report, error) {
	rules, err := rulesOf(opts.rules, check.FromDir)
	if err != nil {
		return nil, err
	}
	if opts.workers < 1 {
		return nil, fmt.Errorf("--workers is %d: at least one is needed", opts.workers)
	}
	checker, err := check.New(check.Options{Rules: rules, Workers: opts.workers, Now: time.Now()})
	if err != nil {
		return nil, err
	}
	cluster, err := opts.cluster.connect()
	if err != nil {
		return nil, err
	}
	all, err := renderAll(ctx, paths, opts.render)
	if err != nil {
		return nil, err
	}
	var after, lived []*check.Report
	for _, path := range all {
		report, err := checker.Check(ctx, path.result.Path, path.result)
		if err != nil {
			return nil, fmt.Errorf("check %s: %w", path.result.Path, err)
		}
		after = append(after, report)
		if cluster != nil {
			report, err := onCluster(ctx, checker, cluster, path)
			if err != nil {
				return nil, err
			}
			lived = append(lived, report)
		}
	}
	report := check.Join(after...)
	if opts.against != "" {
		baseline := &baseline{checker: checker, opts: opts, trees: map[string]*tree{}}
		defer baseline.remove()
		before, err := baseline.check(ctx, all)
		if err != nil {
			return nil, fmt.Errorf("--against: %w", err)
		}
		if report, err = check.Compare(ctx, before, report, opts.against); err != nil {
			return nil, err
		}
		report.Notes = append(report.Notes, baseline.notes...)
	}
	report.Notes = append(report.Notes, fluxNotes(all)...)
	return report.With(check.Join(lived...)), nil
}

// renderAll renders every path as Flux applies it.
func renderAll(ctx context.Context, paths []string, opts render.Options) ([]rendered, error) {
	var all []rendered
	for _, path := range paths {
		opts.Path = path
		one, err := renderOne(ctx, opts)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	for _, i := range builtInOrder(all) {
		if err := applied(ctx, &all[i], all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// rendered is a path that was rendered.
type rendered struct {
	result *render.Result
	opts   render.Options
}

// renderOne renders one path.
func renderOne(ctx context.Context, opts render.Options) (rendered, error) {
	result, err := render.Render(ctx, opts)
	if err != nil {
		return rendered{}, err
	}
	return rendered{result, opts}, nil
}

// rulesOf reads the rules and Lifelines that --rules names.
func rulesOf(names []string, read func(string) (check.Set, error)) (check.Set, error) {
	var all check.Set
	for _, name := range names {
		var set check.Set
		var err error
		switch name {
		case noRules:
		case rulesFromPack:
			set, err = check.Pack()
		default:
			set, err = read(name)
		}
		if err != nil {
			return check.Set{}, fmt.Errorf("--rules: %w", err)
		}
		all.Rules = append(all.Rules, set.Rules...)
		all.Lifelines = append(all.Lifelines, set.Lifelines...)
	}
	return all, nil
}

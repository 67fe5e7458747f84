package check

import (
	"context"
	"fmt"
	"slices"
	"time"

	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/utils/clock"

	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/render"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// DefaultWorkers is how many workers a placement is assumed on.
const DefaultWorkers = 3

// expressionCache is how many rules' expressions are kept: each is compiled once
// in a run.
const expressionCache = 1024

// Options of New.
type Options struct {
	// Rules and Lifelines beside those of the tree, as from Pack or FromDir. One
	// that the tree has, too, is taken from the tree.
	Rules Set
	// Workers that a placement is assumed on. With one, Lifelines are not
	// judged. Zero is DefaultWorkers.
	Workers int
	// Now decides which exceptions of rules have lapsed.
	Now time.Time
	// Clock tells how long rules take; nil is the machine's.
	Clock clock.PassiveClock
}

// Checker judges renders. It is not safe for concurrent use.
type Checker struct {
	opts     Options
	compiler *expr.Compiler
	spent    *spending
}

// New returns a Checker, or an error where a rule of opts.Rules does not compile.
func New(opts Options) (*Checker, error) {
	if opts.Workers == 0 {
		opts.Workers = DefaultWorkers
	}
	if opts.Workers < 0 {
		return nil, fmt.Errorf("%d workers: at least one is needed", opts.Workers)
	}
	compiler, err := expr.NewCompiler(expressionCache)
	if err != nil {
		return nil, fmt.Errorf("make the environment of expressions: %w", err)
	}
	if opts.Clock == nil {
		opts.Clock = clock.RealClock{}
	}
	c := &Checker{opts: opts, compiler: compiler, spent: &spending{clock: opts.Clock, by: map[rule.Key]time.Duration{}}}
	return c.By(opts.Rules)
}

// By returns a Checker that differs in the rules and Lifelines beside the tree. It
// fails where a rule does not compile.
func (c *Checker) By(rules Set) (*Checker, error) {
	by := *c
	by.opts.Rules = rules
	for i := range rules.Rules {
		given := &rules.Rules[i]
		if _, err := c.compile(given); err != nil {
			return nil, fmt.Errorf("%s of %s: %w", given.key, given.source, err)
		}
	}
	return &by, nil
}

// Check judges one render. The path is what was rendered, relative to the
// render's root: it is part of what makes a finding the same in another
// revision.
func (c *Checker) Check(ctx context.Context, path string, rendered *render.Result) (*Report, error) {
	r := &run{
		checker: c,
		in:      path,
		objects: newObjects(rendered.Objects),
		causes:  newCauses(rendered.Patches),
		report:  &Report{Findings: []Finding{}},
		seen:    map[string]bool{},
		guarded: map[*object]rule.Key{},
	}
	r.report.runs = []*run{r}
	r.report.Summary.Objects = len(rendered.Objects)
	r.report.Summary.Patches = len(rendered.Patches)
	r.encrypted()
	r.notRendered()
	r.paths(rendered)
	r.unfetched(rendered)
	r.patches(rendered.Patches)
	found := r.found()
	r.set = byKey(found.Rules)
	r.shadows()
	if err := r.rules(ctx, found); err != nil {
		return nil, err
	}
	typed := r.decoded()
	work := r.workloads(typed)
	r.pdbs = r.disruptionBudgets(typed)
	r.budgets(work)
	r.work, r.watched = work, found.Lifelines
	r.lifelines(found.Lifelines, work)
	r.report.sort()
	return r.report, nil
}

// run is the check of one render.
type run struct {
	checker *Checker
	in      string
	objects *objects
	causes  causes
	report  *Report
	// set is the rules that were judged by.
	set map[rule.Key]*Rule
	// seen fingerprints: two objects of one name give one finding.
	seen map[string]bool
	// guarded are the objects that a rule is about, with the first one.
	guarded map[*object]rule.Key
	// budgeted are the workloads, by their id, whose disruption budgets a rule
	// has found fault with.
	budgeted map[string]bool
	pdbs     []*policyv1.PodDisruptionBudget
	work     []*workload
	// watched are the Lifelines that were judged.
	watched []Lifeline
}

// again is a run of the same render that has found nothing.
func (r *run) again() *run {
	return &run{
		checker: r.checker, in: r.in, objects: r.objects, causes: r.causes,
		report: &Report{}, seen: map[string]bool{}, guarded: map[*object]rule.Key{}, budgeted: map[string]bool{},
		pdbs: r.pdbs,
	}
}

// add a finding that is the same one in another revision where the parts are.
func (r *run) add(f Finding, parts ...string) {
	f.In = r.in
	f.Fingerprint = fingerprint(append([]string{f.In, f.Check, f.Rule}, parts...)...)
	if r.seen[f.Fingerprint] {
		return
	}
	r.seen[f.Fingerprint] = true
	r.report.Findings = append(r.report.Findings, f)
}

// of adds a finding about an object, from what was read of it. The parts tell
// findings of one check about one object from each other.
func (r *run) of(obj *object, read reads, f Finding, parts ...string) {
	f.SetBy = r.causes.of(obj, read)
	f.Object = obj.id()
	f.Path, f.Line, f.Instance = obj.origin.Path, obj.origin.Line, obj.origin.Instance
	r.add(f, append([]string{f.Object}, parts...)...)
}

func (r *run) note(n Note) {
	n.In = r.in
	r.report.Notes = append(r.report.Notes, n)
}

// With adds the findings and notes about a running cluster. Against another
// revision they are new.
func (r *Report) With(cluster *Report) *Report {
	joined := *r
	joined.Findings = append(slices.Clone(r.Findings), cluster.Findings...)
	joined.Notes = append(slices.Clone(r.Notes), cluster.Notes...)
	if r.Against != "" {
		for i := len(r.Findings); i < len(joined.Findings); i++ {
			joined.Findings[i].State = StateNew
		}
	}
	joined.sort()
	return &joined
}

// Join makes one report of several, and adds what only all of them tell.
func Join(reports ...*Report) *Report {
	joined := &Report{Findings: []Finding{}}
	for _, r := range reports {
		joined.Findings = append(joined.Findings, r.Findings...)
		joined.Notes = append(joined.Notes, r.Notes...)
		joined.runs = append(joined.runs, r.runs...)
		joined.Summary.Objects += r.Summary.Objects
		joined.Summary.Patches += r.Summary.Patches
		joined.Summary.Rules = max(joined.Summary.Rules, r.Summary.Rules)
		joined.Summary.Lifelines = max(joined.Summary.Lifelines, r.Summary.Lifelines)
	}
	joined.Findings = append(joined.Findings, mixes(joined.runs)...)
	joined.sort()
	return joined
}

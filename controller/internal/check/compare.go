package check

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// Compare keeps of a report what is new against that of another revision, adds
// what is fixed, and counts the rest. A finding that got more severe is new. What
// is gone because a rule asks for less than it did is not fixed: it is no longer
// judged, and the rule is a finding. What is gone with a Lifeline is no longer judged
// either.
func Compare(ctx context.Context, before, after *Report, revision string) (*Report, error) {
	out := &Report{Findings: []Finding{}, Notes: after.Notes, Against: revision, Summary: after.Summary, runs: after.runs}
	was := make(map[string]*Finding, len(before.Findings))
	for i := range before.Findings {
		was[before.Findings[i].Fingerprint] = &before.Findings[i]
	}
	is := make(map[string]bool, len(after.Findings))
	for _, f := range after.Findings {
		is[f.Fingerprint] = true
		if old, known := was[f.Fingerprint]; known && Rank(old.Severity) >= Rank(f.Severity) {
			out.Unchanged++
			continue
		}
		f.State = StateNew
		out.Findings = append(out.Findings, f)
	}
	weakened, err := weakened(ctx, before, after, revision)
	if err != nil {
		return nil, err
	}
	for _, f := range append(weakened, unwatched(before, after)...) {
		if !is[f.Fingerprint] {
			is[f.Fingerprint] = true
			out.Findings = append(out.Findings, f)
		}
	}
	for _, f := range before.Findings {
		if !is[f.Fingerprint] {
			f.State = StateFixed
			// A rule that is about less guards less.
			if f.Check == KustomizationMixes && len(weakened) > 0 {
				f.State, f.Message = StateUnjudged, unjudged+f.Message
			}
			out.Findings = append(out.Findings, f)
		}
	}
	out.sort()
	return out, nil
}

// weakened are the rules that ask for less than they did, and what they found as
// they were.
func weakened(ctx context.Context, before, after *Report, revision string) ([]Finding, error) {
	var out []Finding
	for _, r := range after.runs {
		beside := byKey(r.checker.opts.Rules.Rules)
		// Where there is nothing to compare with, the rules beside the tree are
		// what its own are measured by.
		old := former{called: "than beside the tree", rules: beside, beside: beside}
		if i := slices.IndexFunc(before.runs, func(other *run) bool { return other.in == r.in }); i >= 0 {
			old = former{called: "than in " + revision, rules: before.runs[i].set, beside: byKey(before.runs[i].checker.opts.Rules.Rules)}
		}
		for _, key := range slices.SortedFunc(maps.Keys(old.rules), byName) {
			found, err := r.weakened(ctx, old, key)
			if err != nil {
				return nil, err
			}
			out = append(out, found...)
		}
	}
	return out, nil
}

// unwatched is what the Lifelines as they were find, and those as they are do not.
func unwatched(before, after *Report) []Finding {
	var out []Finding
	for _, r := range after.runs {
		was := r.checker.opts.Rules.Lifelines
		if i := slices.IndexFunc(before.runs, func(other *run) bool { return other.in == r.in }); i >= 0 {
			was = before.runs[i].watched
		}
		again := r.again()
		again.lifelines(was, r.work)
		for _, f := range again.report.Findings {
			if !r.seen[f.Fingerprint] {
				f.State, f.Message = StateUnjudged, unjudged+f.Message
				out = append(out, f)
			}
		}
	}
	return out
}

func byName(a, b rule.Key) int {
	return strings.Compare(a.String(), b.String())
}

package check

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// unjudged begins the message of what is no longer judged.
const unjudged = "no longer judged: "

// former is what a render is compared with.
type former struct {
	called string
	// rules that were judged by, and those of them that were beside the tree,
	// whether or not the tree had another one of the name.
	rules, beside map[rule.Key]*Rule
}

// weakened compares a rule with what it was. What it was finds in the render, and
// what it is does not, is no longer judged.
func (r *run) weakened(ctx context.Context, old former, key rule.Key) ([]Finding, error) {
	was, is := old.rules[key], r.set[key]
	if was.spec.Suspend || is != nil && equality.Semantic.DeepEqual(was.spec, is.spec) {
		return nil, nil
	}
	compiled, err := r.checker.compile(was)
	if err != nil {
		return nil, nil //nolint:nilerr // a rule that does not compile judged nothing
	}
	again := r.again()
	if err := again.evaluate(ctx, was, compiled); err != nil {
		return nil, err
	}
	var out []Finding
	for _, f := range again.report.Findings {
		if !r.seen[f.Fingerprint] {
			f.State, f.Message = StateUnjudged, unjudged+f.Message
			out = append(out, f)
		}
	}
	again.report.Findings = nil
	for _, w := range r.less(old, key, len(out)) {
		again.weaker(was, is, w, old.called)
	}
	return append(out, again.report.Findings...), nil
}

// less is how a rule asks for less than it did; hidden is how many findings of what
// it was it does not make.
func (r *run) less(old former, key rule.Key, hidden int) []weakening {
	is := r.set[key]
	if is == nil {
		return []weakening{{is: "there is none any more that can be read"}}
	}
	all := weakenings(&old.rules[key].spec, &is.spec, r.checker.opts.Now)
	// A text that was beside the tree already, as after an upgrade of a copy of the
	// pack, is no change that somebody has to weigh.
	if beside := old.beside[key]; beside != nil && equality.Semantic.DeepEqual(beside.spec, is.spec) {
		all = certain(all)
	}
	if len(all) == 0 && hidden > 0 {
		all = []weakening{{is: fmt.Sprintf("what it was finds fault with %d more %s", hidden, plural(hidden, "object", "objects"))}}
	}
	return all
}

// certain leaves out what may be no weakening.
func certain(all []weakening) []weakening {
	var out []weakening
	for _, w := range all {
		if !w.changed {
			out = append(out, w)
		}
	}
	return out
}

// weaker adds the finding that a rule asks for less, at the rule where the render
// has it, else where it was.
func (r *run) weaker(was, is *Rule, w weakening, than string) {
	f := Finding{
		Check: RuleWeakened, Rule: was.key.String(), Severity: v1alpha1.SeverityHigh, Docs: was.docs, State: StateNew,
		Message: fmt.Sprintf("%s asks for less %s: %s", spoken(was.key), than, w),
	}
	if Rank(severity(&was.spec)) > Rank(f.Severity) {
		f.Severity = severity(&was.spec)
	}
	for _, obj := range r.objects.all {
		if is != nil && is.origin.Path != "" && is.origin == obj.origin && r.isRule(obj, was.key) {
			r.of(obj, below(w.pointer()), f, w.field, w.was, w.is)
			return
		}
	}
	f.Path, f.Line = was.origin.Path, was.origin.Line
	if f.Path == "" {
		f.Path, f.Line = r.in, 1
		f.Message += " (" + cmp.Or(is, was).source + ")"
	}
	r.add(f, w.field, w.was, w.is)
}

// spoken is a key as the object is called in messages.
func spoken(key rule.Key) string {
	return strings.Replace(key.String(), "/", " ", 1)
}

// isRule says whether an object of the render is the rule of a key.
func (r *run) isRule(obj *object, key rule.Key) bool {
	return ours(obj.Unstructured) && obj.GetKind() == key.Kind && obj.GetName() == key.Name &&
		(key.Kind != rule.KindRule || obj.GetNamespace() == key.Namespace)
}

// shadows notes the rules of the render that are weaker than those of their names
// beside it. Where no revision is compared with, that is how the tree is meant to
// be, as far as anybody can tell.
func (r *run) shadows() {
	for i := range r.checker.opts.Rules.Rules {
		given := &r.checker.opts.Rules.Rules[i]
		is := r.set[given.key]
		if is == nil || is.origin.Path == "" || is.spec.Suspend {
			continue
		}
		var texts []string
		for _, w := range weakenings(&given.spec, &is.spec, r.checker.opts.Now) {
			texts = append(texts, w.String())
		}
		if len(texts) > 0 {
			r.note(Note{
				Check: RuleWeakened, Path: is.origin.Path, Line: is.origin.Line,
				Message: fmt.Sprintf("%s asks for less than that of %s, in whose place it is judged by: %s", spoken(is.key), given.source, strings.Join(texts, "; ")),
			})
		}
	}
}

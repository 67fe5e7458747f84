package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// weakening is a field of a rule that asks for less than it did.
type weakening struct {
	// field of the rule, as spec.severity; empty where it is about all of it.
	field   string
	was, is string
	// changed is true where a text or a value only differs, and nothing tells
	// whether it asks for less.
	changed bool
}

func (w weakening) String() string {
	if w.field == "" {
		return w.is
	}
	text := fmt.Sprintf("%s %s → %s", w.field, w.was, w.is)
	if w.changed {
		text += " (whether that asks for less cannot be computed)"
	}
	return text
}

// pointer is the JSON pointer of the field.
func (w weakening) pointer() string {
	return strings.TrimSuffix("/"+strings.ReplaceAll(w.field, ".", "/"), "/")
}

const nothing = "nothing"

// weakenings are the fields in which a rule asks for less than another one of its
// name did. What can be compared is compared; the text of an expression cannot
// be, and counts where it is not the same. More is asked for by adding a
// validation, which never counts.
func weakenings(was, is *v1alpha1.RuleSpec, now time.Time) []weakening {
	var out []weakening
	if is.Suspend && !was.Suspend {
		out = append(out, weakening{field: "spec.suspend", was: "false", is: "true"})
	}
	if Rank(severity(is)) < Rank(severity(was)) {
		out = append(out, weakening{field: "spec.severity", was: string(severity(was)), is: string(severity(is))})
	}
	out = append(out, lessEnforced(was, is)...)
	out = append(out, lessMatched(&was.MatchConstraints, &is.MatchConstraints)...)
	out = append(out, narrowed(was.MatchConditions, is.MatchConditions)...)
	out = append(out, lessAsked(was, is)...)
	out = append(out, lessLooked(was, is)...)
	out = append(out, excepted(was.Exceptions, is.Exceptions, now)...)
	return append(out, otherFields(was, is)...)
}

func severity(spec *v1alpha1.RuleSpec) v1alpha1.Severity {
	return cmp.Or(spec.Severity, v1alpha1.SeverityMedium)
}

// same says whether two expressions are, but for white space: kustomize folds lines
// otherwise than they were written.
func same(a, b string) bool {
	return oneLine(a) == oneLine(b)
}

func oneLine(text string) string {
	return strings.Join(strings.Fields(text), " ")
}

// sharedPrefix is how many bytes of what two texts have in common are shown before
// the place where they part.
const sharedPrefix = 16

// parting is what two texts say from a little before the place where they part.
func parting(was, is string) (before, after string) {
	was, is = oneLine(was), oneLine(is)
	at := 0
	for at < min(len(was), len(is)) && was[at] == is[at] {
		at++
	}
	if at < 2*sharedPrefix {
		return value(was), value(is)
	}
	for at -= sharedPrefix; at > 0 && !utf8.RuneStart(was[at]); at-- {
	}
	return value("…" + was[at:]), value("…" + is[at:])
}

// narrowed are the conditions that there were not, or that read otherwise.
func narrowed(was, is []admissionregistrationv1.MatchCondition) []weakening {
	var out []weakening
	for _, c := range is {
		if slices.ContainsFunc(was, func(old admissionregistrationv1.MatchCondition) bool { return same(old.Expression, c.Expression) }) {
			continue
		}
		w := weakening{field: "spec.matchConditions", was: nothing, is: value(c.Expression)}
		if i := slices.IndexFunc(was, func(old admissionregistrationv1.MatchCondition) bool { return old.Name == c.Name }); i >= 0 {
			w.was, w.is = parting(was[i].Expression, c.Expression)
			w.changed = true
		}
		out = append(out, w)
	}
	return out
}

// lessAsked are the validations that are gone or read otherwise.
func lessAsked(was, is *v1alpha1.RuleSpec) []weakening {
	var out []weakening
	has := func(in []admissionregistrationv1.Validation, expression string) bool {
		return slices.ContainsFunc(in, func(v admissionregistrationv1.Validation) bool { return same(v.Expression, expression) })
	}
	for i, v := range was.Validations {
		if has(is.Validations, v.Expression) {
			continue
		}
		w := weakening{field: "spec.validations", was: value(v.Expression), is: nothing}
		if i < len(is.Validations) && !has(was.Validations, is.Validations[i].Expression) {
			w.was, w.is = parting(v.Expression, is.Validations[i].Expression)
			w.changed = true
		}
		out = append(out, w)
	}
	return out
}

// lessLooked are the variables and references that are not what they were.
func lessLooked(was, is *v1alpha1.RuleSpec) []weakening {
	var out []weakening
	for _, v := range was.Variables {
		for _, other := range is.Variables {
			if other.Name == v.Name && !same(other.Expression, v.Expression) {
				before, after := parting(v.Expression, other.Expression)
				out = append(out, weakening{field: "spec.variables", was: v.Name + ": " + before, is: v.Name + ": " + after, changed: true})
			}
		}
	}
	for _, r := range was.References {
		for _, other := range is.References {
			if other.Name == r.Name && !equality.Semantic.DeepEqual(r, other) {
				out = append(out, weakening{field: "spec.references", was: list(r), is: list(other), changed: true})
			}
		}
	}
	return out
}

func list(r v1alpha1.Reference) string {
	text := fmt.Sprintf("%s: %s of %s", r.Name, r.Kind, strings.Join(r.Namespaces, ", "))
	if r.LabelSelector != nil {
		text += " with " + r.LabelSelector.String()
	}
	return value(text)
}

// excepted are the exceptions that are new or last longer. One that has lapsed
// excepts nothing.
func excepted(was, is []v1alpha1.Exception, now time.Time) []weakening {
	var out []weakening
	for _, e := range is {
		if e.Expires != nil && !e.Expires.After(now) {
			continue
		}
		before := nothing
		covered := slices.ContainsFunc(was, func(old v1alpha1.Exception) bool {
			if old.Namespace != e.Namespace || old.Name != e.Name {
				return false
			}
			before = until(old)
			return old.Expires == nil || e.Expires != nil && !old.Expires.Before(e.Expires)
		})
		if !covered {
			out = append(out, weakening{field: "spec.exceptions", was: before, is: until(e)})
		}
	}
	return out
}

func until(e v1alpha1.Exception) string {
	name := strings.TrimPrefix(e.Namespace+"/"+e.Name, "/")
	if e.Expires == nil {
		return name + " for good"
	}
	return name + " until " + e.Expires.UTC().Format(time.RFC3339)
}

// otherFields are those of a rule that nothing above knows, and that differ.
func otherFields(was, is *v1alpha1.RuleSpec) []weakening {
	before, after := content(was), content(is)
	var names []string
	for _, fields := range []map[string]any{before, after} {
		for name := range fields {
			if !slices.Contains(names, name) && !equality.Semantic.DeepEqual(before[name], after[name]) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	var out []weakening
	for _, name := range names {
		out = append(out, weakening{field: "spec." + name, was: value(before[name]), is: value(after[name]), changed: true})
	}
	return out
}

// content of a rule without the fields that are compared one by one.
func content(spec *v1alpha1.RuleSpec) map[string]any {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(spec)
	if err != nil {
		return nil
	}
	for _, name := range []string{"suspend", "severity", "modes", "validationActions", "failurePolicy", "matchConstraints", "matchConditions", "variables", "validations", "references", "exceptions"} {
		delete(fields, name)
	}
	return fields
}

// byKey are rules by their key.
func byKey(rules []Rule) map[rule.Key]*Rule {
	out := make(map[rule.Key]*Rule, len(rules))
	for i := range rules {
		out[rules[i].key] = &rules[i]
	}
	return out
}

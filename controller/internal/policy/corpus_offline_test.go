package policy_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/check"
	"github.com/mainstay-dev/mainstay/controller/internal/render"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// others is what the audit adds where more than one validation does not hold.
var others = regexp.MustCompile(` \(and [^()]+\)$`)

// audited is what the audit says of an object: of what its cache keeps of it.
func audited(t *testing.T, r *rule.Rule, object, namespace *unstructured.Unstructured) answer {
	t.Helper()
	gvr, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
	namespaced := object.GetNamespace() != ""
	if !r.MatchesResource(gvr, namespaced) {
		return answer{verdict: unmatched}
	}
	kept := &unstructured.Unstructured{Object: r.Reads().Apply(object.Object)}
	in := rule.Input{Object: kept, Resource: gvr, Now: now}
	var labels map[string]string
	if namespaced && r.NeedsNamespace() {
		in.Namespace, labels = namespace.Object, namespace.GetLabels()
	}
	if !r.MatchesObject(gvr, kept, labels) {
		return answer{verdict: unmatched}
	}
	finding := r.Evaluate(t.Context(), in)
	if !finding.Matched && finding.Outcome == "" {
		return answer{verdict: unmatched}
	}
	return answer{
		verdict: verdictOf(finding.Outcome), message: others.ReplaceAllString(finding.Message, ""), reason: finding.Reason,
		partly: strings.Contains(others.FindString(finding.Message), "could not be evaluated"),
	}
}

func verdictOf(outcome v1alpha1.Outcome) verdict {
	switch outcome {
	case v1alpha1.OutcomeFail:
		return denies
	case v1alpha1.OutcomePass:
		return allowed
	default:
		return verdict(outcome)
	}
}

// commandLine is the plane of `mainstay check`, for one rule.
type commandLine struct {
	checker  *check.Checker
	key      rule.Key
	rendered []render.Object
}

func newCommandLine(t *testing.T, d *corpusRule) *commandLine {
	t.Helper()
	checker, err := check.New(check.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	namespace := &unstructured.Unstructured{}
	namespace.SetAPIVersion("v1")
	namespace.SetKind("Namespace")
	namespace.SetName(d.Namespace)
	namespace.SetLabels(d.NamespaceLabels)
	return &commandLine{checker: checker, key: d.key(), rendered: []render.Object{{Object: d.asObject(t)}, {Object: namespace}}}
}

// with is the same tree with more objects.
func (c *commandLine) with(objects []*unstructured.Unstructured) *commandLine {
	more := &commandLine{checker: c.checker, key: c.key, rendered: slices.Clone(c.rendered)}
	for _, obj := range objects {
		more.rendered = append(more.rendered, render.Object{Object: obj})
	}
	return more
}

// ask for the check of a tree with the rule, its namespace and an object.
func (c *commandLine) ask(t *testing.T, object *unstructured.Unstructured) answer {
	t.Helper()
	report, err := c.checker.Check(t.Context(), "tree", &render.Result{
		Root: "/tree", Objects: append(slices.Clone(c.rendered), render.Object{Object: object.DeepCopy()}),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, finding := range report.Findings {
		switch {
		case finding.Check == check.RuleInvalid:
			t.Fatal(finding.Message)
		case finding.Rule != c.key.String(), !strings.HasSuffix(finding.Object, "/"+object.GetName()) && !strings.HasSuffix(finding.Object, " "+object.GetName()):
		case finding.Check == check.RuleFailed:
			return answer{verdict: erroneous, message: finding.Message}
		default:
			return answer{verdict: denies, message: others.ReplaceAllString(finding.Message, "")}
		}
	}
	for _, note := range report.Notes {
		if note.Check == c.key.Name && strings.Contains(note.Message, "has an exception for") {
			return answer{verdict: skipped}
		}
		if note.Check == c.key.Name {
			t.Fatalf("the command line does not judge: %s", note.Message)
		}
	}
	return answer{verdict: allowed}
}

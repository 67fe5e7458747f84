package rule

import (
	"context"
	"fmt"
	"slices"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
)

// Request is what an API server asks to have admitted.
type Request struct {
	// Operation of the request, never *.
	Operation admissionregistrationv1.OperationType
	// Resource that the request is about, in the version of its objects here.
	Resource schema.GroupVersionResource
	// Subresource of it, or empty.
	Subresource string
	// Namespace of the request; for a Namespace its own name. Empty for what is
	// in none.
	Namespace string
	// Name of the object; empty where the API server has yet to make one, and
	// for the deletion of a collection.
	Name string
	// Object and OldObject are the contents of the two; nil for none.
	Object, OldObject map[string]any
	// Selected says that whoever asks has looked at the Namespace's labels, which
	// are not known here.
	Selected bool
	// Content of the variable request.
	Content map[string]any
}

// RequestInput is what one evaluation of a request sees. Nothing of it is
// changed.
type RequestInput struct {
	// Request to judge; it is matched by the rule's constraints.
	Request *Request
	// Namespace is the content of the request's Namespace; nil where it has
	// none. It is needed where the rule says NeedsNamespace.
	Namespace map[string]any
	// Refs gives the lists that the rule refers to.
	Refs Refs
	// Now decides which exceptions have lapsed.
	Now time.Time
}

func (q *Request) isNamespace() bool {
	return q.Resource.Group == "" && q.Resource.Resource == "namespaces"
}

// ObjectNamespace is the namespace that the object is in: a Namespace's request
// is made in it, though it is in none.
func (q *Request) ObjectNamespace() string {
	if q.isNamespace() {
		return ""
	}
	return q.Namespace
}

// ObjectName is the name of the object. The deletion of a collection names none
// in the request.
func (q *Request) ObjectName() string {
	if q.Name != "" || q.OldObject == nil {
		return q.Name
	}
	metadata, _ := q.OldObject["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	return name
}

// MatchesRequest says whether the rule is about a request, as the API server
// does for a policy with the same constraints. namespace are the labels of the
// request's Namespace. Those of a Namespace that is created or changed are its
// own.
func (r *Rule) MatchesRequest(q *Request, namespace map[string]string) bool {
	if r.key.Kind == KindRule && q.ObjectNamespace() != r.key.Namespace {
		return false
	}
	constraints := &r.spec.MatchConstraints
	covers := func(entry admissionregistrationv1.NamedRuleWithOperations) bool { return coversRequest(&entry, q) }
	return slices.ContainsFunc(constraints.ResourceRules, covers) &&
		!slices.ContainsFunc(constraints.ExcludeResourceRules, covers) &&
		r.requestLabelsMatch(q, namespace)
}

func (r *Rule) requestLabelsMatch(q *Request, namespace map[string]string) bool {
	if !r.objectSelector.Empty() && !matchesLabels(r.objectSelector, q.Object) && !matchesLabels(r.objectSelector, q.OldObject) {
		return false
	}
	switch {
	case r.namespaceSelector.Empty(), q.Selected, q.Namespace == "" && !q.isNamespace():
		return true
	case q.isNamespace() && q.Subresource == "" &&
		(q.Operation == admissionregistrationv1.Create || q.Operation == admissionregistrationv1.Update):
		return matchesLabels(r.namespaceSelector, q.Object)
	}
	return r.namespaceSelector.Matches(labels.Set(namespace))
}

func coversRequest(entry *admissionregistrationv1.NamedRuleWithOperations, q *Request) bool {
	return coversOperation(entry, q.Operation) && (len(entry.ResourceNames) == 0 || slices.Contains(entry.ResourceNames, q.Name)) &&
		Covers(entry, q.Resource, q.Subresource, q.ObjectNamespace() != "")
}

// EvaluateRequest judges a request. It never panics, and ends soon after its
// context does, with the outcome error. An exception outweighs match conditions
// that fail, as it does in the API server.
func (r *Rule) EvaluateRequest(ctx context.Context, in RequestInput) (finding Finding) {
	defer func() {
		if cause := recover(); cause != nil {
			finding = failed(fmt.Errorf("internal error: %v", cause), -1)
		}
	}()
	if err := ctx.Err(); err != nil {
		return failed(fmt.Errorf("interrupted: %w", err), -1)
	}
	q := in.Request
	namespace := q.ObjectNamespace()
	if exception := r.exceptionFor(namespace, q.ObjectName(), in.Now); exception != nil {
		return Finding{Matched: true, Outcome: v1alpha1.OutcomeSkip, Message: bounded(exception.Reason, ""), Validation: -1}
	}
	input := expr.Input{Object: q.Object, OldObject: q.OldObject, Request: q.Content, Resource: q.Resource, Namespace: in.Namespace}
	if len(r.references) > 0 && in.Refs != nil {
		input.Refs = &lists{rule: r, refs: in.Refs, namespace: namespace}
	}
	return r.findingOf(r.program.Evaluate(ctx, input))
}

func matchesLabels(selector labels.Selector, content map[string]any) bool {
	if content == nil {
		return false
	}
	return selector.Matches(LabelsOf(content))
}

// LabelsOf reads the labels of an object's content where they are: a request asks
// many rules, and a copy for each would cost more than the answer.
func LabelsOf(content map[string]any) labels.Labels {
	fields, _ := content["metadata"].(map[string]any)
	found, _ := fields["labels"].(map[string]any)
	return contentLabels(found)
}

// contentLabels are labels as they stand in an object's content.
type contentLabels map[string]any

var _ labels.Labels = contentLabels{}

// Has implements labels.Labels.
func (l contentLabels) Has(label string) bool {
	_, ok := l[label].(string)
	return ok
}

// Get implements labels.Labels.
func (l contentLabels) Get(label string) string {
	value, _ := l[label].(string)
	return value
}

// Lookup implements labels.Labels.
func (l contentLabels) Lookup(label string) (string, bool) {
	value, ok := l[label].(string)
	return value, ok
}

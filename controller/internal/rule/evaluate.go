package rule

import (
	"context"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
)

// MaxMessageBytes bounds the message of a finding.
const MaxMessageBytes = 1024

// Input is what one evaluation sees. Nothing of it is changed.
type Input struct {
	// Object to judge; it is matched by the rule's constraints.
	Object *unstructured.Unstructured
	// Resource of the object.
	Resource schema.GroupVersionResource
	// Namespace is the content of the object's Namespace; nil for an object
	// that is in none. It is needed where the rule says NeedsNamespace.
	Namespace map[string]any
	// Refs gives the lists that the rule refers to. It may be nil where it
	// refers to none.
	Refs Refs
	// Now decides which exceptions have lapsed.
	Now time.Time
}

// Finding is the result of evaluating one rule on one object.
type Finding struct {
	// Matched is false where a match condition was false: the rule is not
	// about the object, and the rest is empty.
	Matched bool
	// Outcome of the evaluation.
	Outcome v1alpha1.Outcome
	// Message is for people: one line of at most MaxMessageBytes. It is empty
	// for the outcome pass.
	Message string
	// Reason is that of the validation that was false, for the outcome fail.
	Reason metav1.StatusReason
	// Validation is the index of the validation that the message is about, -1
	// where it is about none.
	Validation int
	// Err is what went wrong, for the outcome error: expr.ErrOutOfBudget or
	// the error of a context that ended may be among its causes.
	Err error
}

// Evaluate judges an object. It never panics, and ends soon after its context
// does, with the outcome error.
func (r *Rule) Evaluate(ctx context.Context, in Input) (finding Finding) {
	defer func() {
		if cause := recover(); cause != nil {
			finding = failed(fmt.Errorf("internal error: %v", cause), -1)
		}
	}()
	if err := ctx.Err(); err != nil {
		return failed(fmt.Errorf("interrupted: %w", err), -1)
	}
	input := expr.Input{Object: in.Object.Object, Resource: in.Resource, Namespace: in.Namespace}
	if len(r.references) > 0 && in.Refs != nil {
		input.Refs = &lists{rule: r, refs: in.Refs, namespace: in.Object.GetNamespace()}
	}
	if exception := r.exceptionFor(in.Object.GetNamespace(), in.Object.GetName(), in.Now); exception != nil {
		return r.skip(ctx, input, exception)
	}
	return r.findingOf(r.program.Evaluate(ctx, input))
}

// lists adapts the lists of an object's references to the expressions.
type lists struct {
	rule      *Rule
	refs      Refs
	namespace string
}

var _ expr.Refs = (*lists)(nil)

func (l *lists) List(name string) (expr.List, error) {
	return l.refs.List(l.rule.references[l.rule.referenceIndex[name]], l.namespace)
}

func (r *Rule) exceptionFor(namespace, name string, now time.Time) *v1alpha1.Exception {
	if len(r.exceptions) == 0 {
		return nil
	}
	for _, exception := range r.exceptions[objectKey{namespace: namespace, name: name}] {
		if exception.Expires == nil || exception.Expires.After(now) {
			return exception
		}
	}
	return nil
}

func (r *Rule) skip(ctx context.Context, input expr.Input, exception *v1alpha1.Exception) Finding {
	matches, err := r.program.Matches(ctx, input)
	switch {
	case err != nil:
		return failed(err, -1)
	case !matches:
		return Finding{Validation: -1}
	}
	return Finding{Matched: true, Outcome: v1alpha1.OutcomeSkip, Message: bounded(exception.Reason, ""), Validation: -1}
}

func (r *Rule) findingOf(result expr.Result) Finding {
	switch {
	case result.Err != nil:
		return failed(result.Err, -1)
	case !result.Matches:
		return Finding{Validation: -1}
	case len(result.Problems) == 0:
		return Finding{Matched: true, Outcome: v1alpha1.OutcomePass, Validation: -1}
	}
	// A validation that is false is a violation whatever became of the others.
	first, violations := -1, 0
	for i := range result.Problems {
		if result.Problems[i].Err != nil {
			continue
		}
		if first < 0 {
			first = i
		}
		violations++
	}
	if first < 0 {
		return failed(result.Problems[0].Err, result.Problems[0].Index)
	}
	problem := result.Problems[first]
	finding := Finding{
		Matched:    true,
		Outcome:    v1alpha1.OutcomeFail,
		Message:    bounded(r.messageOf(problem), others(violations-1, len(result.Problems)-violations)),
		Reason:     metav1.StatusReasonInvalid,
		Validation: problem.Index,
	}
	if reason := r.spec.Validations[problem.Index].Reason; reason != nil {
		finding.Reason = *reason
	}
	return finding
}

// messageOf is what a validation that is false says.
func (r *Rule) messageOf(problem expr.Problem) string {
	validation := &r.spec.Validations[problem.Index]
	if problem.Message != "" {
		return problem.Message
	}
	if message := strings.TrimSpace(validation.Message); message != "" {
		return message
	}
	return "failed expression: " + strings.TrimSpace(validation.Expression)
}

// others says how many more validations did not hold.
func others(violations, failures int) string {
	switch {
	case violations > 0 && failures > 0:
		return fmt.Sprintf(" (and %d more, %d could not be evaluated)", violations, failures)
	case violations > 0:
		return fmt.Sprintf(" (and %d more)", violations)
	case failures > 0:
		return fmt.Sprintf(" (and %d could not be evaluated)", failures)
	}
	return ""
}

func failed(err error, validation int) Finding {
	return Finding{
		Matched:    true,
		Outcome:    v1alpha1.OutcomeError,
		Message:    bounded(err.Error(), ""),
		Validation: validation,
		Err:        err,
	}
}

// bounded is a message and what follows it, in one line of at most
// MaxMessageBytes: the message is cut, never what follows.
func bounded(message, rest string) string {
	message = strings.Join(strings.Fields(message), " ")
	return expr.Shorten(message, MaxMessageBytes-len(rest)) + rest
}

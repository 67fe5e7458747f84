package rule_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/builders"
)

func newCompiler(t *testing.T) *expr.Compiler {
	t.Helper()
	c, err := expr.NewCompiler(100)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func clusterRule() *builders.ClusterRuleBuilder {
	return builders.MakeClusterRule("replicas").Match("apps", "v1", "deployments")
}

func compile(t *testing.T, b *builders.ClusterRuleBuilder) *rule.Rule {
	t.Helper()
	obj := b.Obj()
	r, errs := rule.Compile(newCompiler(t), rule.Key{Kind: rule.KindClusterRule, Name: obj.Name}, obj.Generation, &obj.Spec)
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	return r
}

func deployments() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
}

func deployment(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	return builders.Unstructured(t, builders.MakeDeployment("flux-system", "source-controller").Replicas(1).Obj())
}

func at(hour int) time.Time {
	return time.Date(2026, 1, 1, hour, 0, 0, 0, time.UTC)
}

type lister func(reference rule.Reference, namespace string) (expr.List, error)

func (l lister) List(reference rule.Reference, namespace string) (expr.List, error) {
	return l(reference, namespace)
}

func TestEvaluate(t *testing.T) {
	t.Parallel()
	pass := rule.Finding{Matched: true, Outcome: v1alpha1.OutcomePass, Validation: -1}
	fail := func(message string) rule.Finding {
		return rule.Finding{Matched: true, Outcome: v1alpha1.OutcomeFail, Message: message, Reason: metav1.StatusReasonInvalid}
	}
	broken := func(validation int, message string) rule.Finding {
		return rule.Finding{Matched: true, Outcome: v1alpha1.OutcomeError, Message: message, Validation: validation}
	}
	skip := func(message string) rule.Finding {
		return rule.Finding{Matched: true, Outcome: v1alpha1.OutcomeSkip, Message: message, Validation: -1}
	}
	tests := map[string]struct {
		rule *builders.ClusterRuleBuilder
		refs rule.Refs
		want rule.Finding
	}{
		"pass":                {rule: clusterRule().Validate("object.spec.replicas == 1", "x"), want: pass},
		"fail":                {rule: clusterRule().Validate("object.spec.replicas > 1", "too few"), want: fail("too few")},
		"fail, no message":    {rule: clusterRule().Validate(" object.spec.replicas >\n 1 ", ""), want: fail("failed expression: object.spec.replicas > 1")},
		"message expression":  {rule: clusterRule().Validate("false", "x").MessageExpression("'has ' + string(object.spec.replicas)"), want: fail("has 1")},
		"its fallback":        {rule: clusterRule().Validate("false", " x ").MessageExpression("string(object.nothing)"), want: fail("x")},
		"message of lines":    {rule: clusterRule().Validate("false", "a\n  b\tc"), want: fail("a b c")},
		"several":             {rule: clusterRule().Validate("true", "a").Validate("false", "b").Validate("false", "c").Validate("false", "d"), want: rule.Finding{Matched: true, Outcome: v1alpha1.OutcomeFail, Message: "b (and 2 more)", Reason: metav1.StatusReasonInvalid, Validation: 1}},
		"failure, then error": {rule: clusterRule().Validate("false", "a").Validate("object.x == 1", "b"), want: fail("a (and 1 could not be evaluated)")},
		"error, then failures": {
			rule: clusterRule().Validate("object.x == 1", "a").Validate("false", "b").Validate("false", "c"),
			want: rule.Finding{Matched: true, Outcome: v1alpha1.OutcomeFail, Message: "b (and 1 more, 1 could not be evaluated)", Reason: metav1.StatusReasonInvalid, Validation: 1},
		},
		"reason":            {rule: clusterRule().Validate("false", "a").Reason(metav1.StatusReasonForbidden), want: rule.Finding{Matched: true, Outcome: v1alpha1.OutcomeFail, Message: "a", Reason: metav1.StatusReasonForbidden}},
		"error":             {rule: clusterRule().Validate("true", "a").Validate("object.spec.nothing == 1", "b"), want: broken(1, "spec.validations[1].expression: no such key: nothing")},
		"variable":          {rule: clusterRule().Variable("n", "object.spec.replicas").Validate("variables.n == 1", ""), want: pass},
		"not matched":       {rule: clusterRule().Condition("a", "object.spec.replicas == 9").Validate("false", ""), want: rule.Finding{Validation: -1}},
		"condition fails":   {rule: clusterRule().Condition("a", "object.x == 9").Validate("false", ""), want: broken(-1, `spec.matchConditions[0] "a": no such key: x`)},
		"two of them":       {rule: clusterRule().Condition("a", "object.x == 9").Condition("b", "object.y == 9").Validate("false", ""), want: broken(-1, `spec.matchConditions[0] "a": no such key: x; spec.matchConditions[1] "b": no such key: y`)},
		"exception":         {rule: clusterRule().Validate("false", "").Except("flux-system", "source-controller", "known\nissue"), want: skip("known issue")},
		"of another":        {rule: clusterRule().Validate("false", "x").Except("other", "source-controller", "r").Except("flux-system", "other", "r"), want: fail("x")},
		"that lapsed":       {rule: clusterRule().Validate("false", "x").Except("flux-system", "source-controller", "r").Until(at(12)), want: fail("x")},
		"that will lapse":   {rule: clusterRule().Validate("false", "x").Except("flux-system", "source-controller", "r").Until(at(13)), want: skip("r")},
		"one lapsed of two": {rule: clusterRule().Validate("false", "x").Except("flux-system", "source-controller", "old").Until(at(11)).Except("flux-system", "source-controller", "new").Until(at(13)), want: skip("new")},
		"exception, not matched": {
			rule: clusterRule().Condition("a", "false").Validate("false", "x").Except("flux-system", "source-controller", "r"), want: rule.Finding{Validation: -1},
		},
		"exception, condition fails": {
			rule: clusterRule().Condition("a", "object.x == 1").Validate("false", "x").Except("flux-system", "source-controller", "r"),
			want: broken(-1, `spec.matchConditions[0] "a": no such key: x`),
		},
		"reference": {
			rule: clusterRule().Refer("pods", "v1", "Pod").Validate("refs.pods.size() == 1 && refs.pods[0].metadata.name == 'p'", ""),
			refs: lister(func(reference rule.Reference, namespace string) (expr.List, error) {
				if reference.Name != "pods" || reference.GVK.Kind != "Pod" || namespace != "flux-system" {
					return expr.List{}, errors.New("asked for something else")
				}
				return expr.NewList([]map[string]any{{"metadata": map[string]any{"name": "p"}}}), nil
			}),
			want: pass,
		},
		"reference that is not asked for": {rule: clusterRule().Refer("pods", "v1", "Pod").Validate("true || refs.pods.size() == 1", ""), want: pass},
		"reference without lists":         {rule: clusterRule().Refer("pods", "v1", "Pod").Validate("refs.pods.size() == 1", ""), want: broken(0, "spec.validations[0].expression: refs.pods is not available")},
		"reference that panics": {
			rule: clusterRule().Refer("pods", "v1", "Pod").Validate("refs.pods.size() == 1", ""),
			refs: lister(func(rule.Reference, string) (expr.List, error) {
				var none map[string]int
				none["x"] = 1 //nolint:staticcheck // the panic is what is tested
				return expr.List{}, nil
			}),
			want: broken(0, "spec.validations[0].expression: internal error: assignment to entry in nil map"),
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := compile(t, tc.rule).Evaluate(t.Context(), rule.Input{
				Object: deployment(t), Resource: deployments(), Refs: tc.refs, Now: at(12),
			})
			if (got.Err != nil) != (tc.want.Outcome == v1alpha1.OutcomeError) {
				t.Errorf("Err = %v", got.Err)
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.IgnoreFields(rule.Finding{}, "Err")); diff != "" {
				t.Errorf("Evaluate: -want +got\n%s", diff)
			}
		})
	}
}

func TestEvaluateNeverPanics(t *testing.T) {
	t.Parallel()
	got := compile(t, clusterRule().Validate("true", "")).Evaluate(t.Context(), rule.Input{})
	if got.Outcome != v1alpha1.OutcomeError || !strings.HasPrefix(got.Message, "internal error: ") {
		t.Errorf("without an object: %+v", got)
	}
	refers := clusterRule().Refer("pods", "v1", "Pod").Validate("refs.pods.size() == 1", "")
	got = compile(t, refers).EvaluateRequest(t.Context(), rule.RequestInput{
		Request: &rule.Request{}, Refs: lister(func(rule.Reference, string) (expr.List, error) { panic("a list is broken") }),
	})
	if got.Outcome != v1alpha1.OutcomeError || !strings.HasSuffix(got.Message, "internal error: a list is broken") {
		t.Errorf("a list that panics: %+v", got)
	}
	if got := compile(t, refers).EvaluateRequest(t.Context(), rule.RequestInput{}); got.Outcome != v1alpha1.OutcomeError {
		t.Errorf("without a request: %+v", got)
	}
}

func TestEvaluateEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got := compile(t, clusterRule().Validate("true", "")).Evaluate(ctx, rule.Input{Object: deployment(t)})
	if got.Outcome != v1alpha1.OutcomeError || !errors.Is(got.Err, context.Canceled) || got.Message != "interrupted: context canceled" {
		t.Errorf("after its context: %+v", got)
	}
}

func TestMessagesAreBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 2000)
	got := compile(t, clusterRule().Validate("false", long).Validate("false", "x")).Evaluate(t.Context(), rule.Input{Object: deployment(t)})
	if len(got.Message) > rule.MaxMessageBytes || len(got.Message) < rule.MaxMessageBytes-3 || !utf8.ValidString(got.Message) {
		t.Errorf("a message of %d bytes, valid %v", len(got.Message), utf8.ValidString(got.Message))
	}
	if !strings.HasSuffix(got.Message, "ü… (and 1 more)") {
		t.Errorf("the end is cut: %q", got.Message[len(got.Message)-30:])
	}
}

func TestNextExpiry(t *testing.T) {
	t.Parallel()
	r := compile(t, clusterRule().Validate("true", "").
		Except("a", "forever", "r").Except("a", "late", "r").Until(at(20)).Except("a", "soon", "r").Until(at(15)).Except("a", "past", "r").Until(at(10)))
	tests := map[string]struct {
		now    time.Time
		want   time.Time
		wantOK bool
	}{
		"the first":           {now: at(1), want: at(10), wantOK: true},
		"at the very moment":  {now: at(10), want: at(15), wantOK: true},
		"the last":            {now: at(16), want: at(20), wantOK: true},
		"after all of them":   {now: at(20)},
		"long after all them": {now: at(23)},
	}
	for name, tc := range tests {
		got, ok := r.NextExpiry(tc.now)
		if !got.Equal(tc.want) || ok != tc.wantOK {
			t.Errorf("%s: NextExpiry(%v) = %v, %v", name, tc.now, got, ok)
		}
	}
}

func TestAccessors(t *testing.T) {
	t.Parallel()
	r := compile(t, clusterRule().Generation(7).Severity(v1alpha1.SeverityHigh).
		Refer("same", "v1", "Pod").Refer("all", "apps/v1", "Deployment", "All").Refer("some", "v1", "Pod", "a", "b").ReferLabels("x", "y").
		Validate("refs.same.all(p, p.spec.nodeName != '') && object.spec.replicas > 1", ""))
	if r.Key().String() != "ClusterRule/replicas" || r.Generation() != 7 || r.Severity() != v1alpha1.SeverityHigh || r.NeedsNamespace() {
		t.Errorf("key %s, generation %d, severity %s, namespace %v", r.Key(), r.Generation(), r.Severity(), r.NeedsNamespace())
	}
	if key := (rule.Key{Kind: rule.KindRule, Namespace: "a", Name: "b"}).String(); key != "Rule/a/b" {
		t.Errorf("key of a Rule: %s", key)
	}
	if diff := cmp.Diff([]string{".spec.replicas"}, r.Reads().Paths()); diff != "" {
		t.Errorf("Reads: -want +got\n%s", diff)
	}
	if diff := cmp.Diff([]string{".spec.nodeName"}, r.ReadsOf("same").Paths()); diff != "" {
		t.Errorf("ReadsOf: -want +got\n%s", diff)
	}
	type choice struct {
		GVK        string
		Namespaces rule.Namespaces
		Selector   string
	}
	var got []choice
	for _, reference := range r.References() {
		got = append(got, choice{reference.GVK.String(), reference.Namespaces, reference.Selector.String()})
	}
	want := []choice{
		{"/v1, Kind=Pod", rule.Namespaces{Same: true}, ""},
		{"apps/v1, Kind=Deployment", rule.Namespaces{All: true}, ""},
		{"/v1, Kind=Pod", rule.Namespaces{Names: []string{"a", "b"}}, "x=y"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("References: -want +got\n%s", diff)
	}
	if r := compile(t, clusterRule().Validate("namespaceObject != null", "")); !r.NeedsNamespace() || r.Severity() != v1alpha1.SeverityMedium {
		t.Errorf("with namespaceObject: NeedsNamespace() = %v, severity %s", r.NeedsNamespace(), r.Severity())
	}
	if r := compile(t, clusterRule().NamespaceLabels("a", "b").Validate("true", "")); !r.NeedsNamespace() {
		t.Error("with a namespaceSelector: NeedsNamespace() = false")
	}
}

func TestNamespacesInclude(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		namespaces         rule.Namespaces
		namespace, subject string
		want               bool
	}{
		"same":                     {namespaces: rule.Namespaces{Same: true}, namespace: "a", subject: "a", want: true},
		"same, of another":         {namespaces: rule.Namespaces{Same: true}, namespace: "a", subject: "b"},
		"same, of none":            {namespaces: rule.Namespaces{Same: true}, namespace: "a"},
		"same, cluster-scoped":     {namespaces: rule.Namespaces{Same: true}, subject: "b", want: true},
		"all":                      {namespaces: rule.Namespaces{All: true}, namespace: "a", subject: "b", want: true},
		"names":                    {namespaces: rule.Namespaces{Names: []string{"a"}}, namespace: "a", subject: "b", want: true},
		"other names":              {namespaces: rule.Namespaces{Names: []string{"b"}}, namespace: "a", subject: "b"},
		"all, of a cluster-scoped": {namespaces: rule.Namespaces{All: true}, namespace: "a", want: true},
	}
	for name, tc := range tests {
		if got := tc.namespaces.Include(tc.namespace, tc.subject); got != tc.want {
			t.Errorf("%s: Include = %v", name, got)
		}
	}
}

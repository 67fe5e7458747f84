package expr

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	admissioncel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/cel/environment"
)

// upstreamValidator is what the API server makes of the same expressions in a
// ValidatingAdmissionPolicy.
func upstreamValidator(t *testing.T, s *Source) validating.Validator {
	t.Helper()
	fail := admissionregistrationv1.Fail
	compiler, err := admissioncel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	if err != nil {
		t.Fatal(err)
	}
	none := admissioncel.OptionalVariableDeclarations{}
	mode := environment.StoredExpressions
	for i := range s.Variables {
		compiler.CompileAndStoreVariable(&validating.Variable{Name: s.Variables[i].Name, Expression: s.Variables[i].Expression}, none, mode)
	}
	var conditions, validations []admissioncel.ExpressionAccessor
	messages := make([]admissioncel.ExpressionAccessor, len(s.Validations))
	for i := range s.MatchConditions {
		condition := matchconditions.MatchCondition(s.MatchConditions[i])
		conditions = append(conditions, &condition)
	}
	for i, v := range s.Validations {
		validations = append(validations, &validating.ValidationCondition{Expression: v.Expression, Message: v.Message, Reason: v.Reason})
		if v.MessageExpression != "" {
			messages[i] = &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression}
		}
	}
	var matcher matchconditions.Matcher
	if len(conditions) > 0 {
		matcher = matchconditions.NewMatcher(compiler.CompileCondition(conditions, none, mode), &fail, "policy", "validate", "test")
	}
	return validating.NewValidator(
		compiler.CompileCondition(validations, none, mode), matcher,
		compiler.CompileCondition(nil, none, mode), compiler.CompileCondition(messages, none, mode), &fail, nil)
}

// upstreamVerdict is how the API server decides about creating the object.
func upstreamVerdict(t *testing.T, s *Source, content map[string]any) string {
	t.Helper()
	obj := &unstructured.Unstructured{Object: content}
	namespace := &corev1.Namespace{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object(t, fluxNamespace), namespace); err != nil {
		t.Fatal(err)
	}
	gvk := schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
	attributes := admission.NewAttributesRecord(obj, nil, gvk, obj.GetNamespace(), obj.GetName(), deployments(), "",
		admission.Create, &metav1.CreateOptions{}, false, &user.DefaultInfo{Name: "me"})
	result := upstreamValidator(t, s).Validate(t.Context(), deployments(),
		&admission.VersionedAttributes{Attributes: attributes, VersionedKind: gvk, VersionedObject: obj},
		nil, namespace, celconfig.RuntimeCELCostBudget, nil)
	var failures []string
	broken := false
	for i, decision := range result.Decisions {
		switch decision.Evaluation {
		case validating.EvalDeny:
			if decision.Reason != metav1.StatusReasonInvalid {
				t.Errorf("upstream's default reason is %q", decision.Reason)
			}
			message := decision.Message
			if strings.HasPrefix(message, "failed expression: ") {
				message = ""
			}
			failures = append(failures, problemText(i, message))
		case validating.EvalError:
			broken = true
		case validating.EvalAdmit:
		}
	}
	switch {
	case len(failures) > 0:
		return strings.Join(failures, ", ")
	case broken:
		return "error"
	case len(result.Decisions) == 0:
		return "unmatched"
	}
	return "pass"
}

// verdict is a Result in the words of upstreamVerdict.
func (r Result) verdict() string {
	var failures []string
	for _, p := range r.Problems {
		if p.Err == nil {
			failures = append(failures, problemText(p.Index, p.Message))
		}
	}
	switch {
	case r.Err == nil && !r.Matches:
		return "unmatched"
	case len(failures) > 0:
		return strings.Join(failures, ", ")
	case r.Err != nil || len(r.Problems) > 0:
		return "error"
	}
	return "pass"
}

func problemText(index int, message string) string {
	return strings.TrimSpace(string(rune('0'+index)) + " " + message)
}

// TestUpstream runs the cases, and some that exhaust budgets, through the API
// server's own validator: the verdicts and messages are the same.
func TestUpstream(t *testing.T) {
	t.Parallel()
	c := newCompiler(t)
	for name, tc := range allCases() {
		if tc.beyond {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := Input{Object: budgetObject(t), Resource: deployments(), Namespace: object(t, fluxNamespace)}
			got := mustCompile(t, c, tc.source).Evaluate(t.Context(), in).verdict()
			if diff := cmp.Diff(upstreamVerdict(t, tc.source, budgetObject(t)), got); diff != "" {
				t.Errorf("verdict: -upstream +ours\n%s", diff)
			}
		})
	}
}

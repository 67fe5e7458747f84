package main

import (
	"fmt"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// feature is something that a rule may use, and an example of it.
type feature struct {
	name string
	use  func(spec *v1alpha1.RuleSpec)
}

func features() []feature {
	validate := func(expression string) func(*v1alpha1.RuleSpec) {
		return func(spec *v1alpha1.RuleSpec) { spec.Validations[0].Expression = expression }
	}
	return []feature{
		{"`matchConstraints`: resources, `objectSelector`, `namespaceSelector`", validate("true")},
		{"`matchConditions`", func(spec *v1alpha1.RuleSpec) {
			spec.MatchConditions = []admissionregistrationv1.MatchCondition{{Name: "c", Expression: "true"}}
		}},
		{"`variables`, `messageExpression`, `reason`", func(spec *v1alpha1.RuleSpec) {
			spec.Variables = []admissionregistrationv1.Variable{{Name: "v", Expression: "'a'"}}
			spec.Validations[0].MessageExpression = "variables.v"
		}},
		{"`exceptions`", func(spec *v1alpha1.RuleSpec) {
			spec.Exceptions = []v1alpha1.Exception{{Namespace: "a", Name: "b", Reason: "known"}}
		}},
		{"the CEL libraries of Kubernetes", validate("quantity('1Gi').isInteger() && ip('10.0.0.1').family() == 4")},
		{"`namespaceObject`", validate("namespaceObject.metadata.name != ''")},
		{"`oldObject`, `request.operation` and the rest of `request`", validate("request.operation == 'CREATE' || oldObject != null")},
		{"operations `DELETE` and `CONNECT` alone", func(spec *v1alpha1.RuleSpec) {
			spec.MatchConstraints.ResourceRules[0].Operations = []admissionregistrationv1.OperationType{admissionregistrationv1.Delete}
		}},
		{"subresources alone, as in `deployments/scale`", func(spec *v1alpha1.RuleSpec) {
			spec.MatchConstraints.ResourceRules[0].Resources = []string{"pods/exec"}
		}},
		{"`request.userInfo`, `request.options`, `request.dryRun`", validate("request.userInfo.username != '' || request.dryRun || request.options == null")},
		{"`authorizer`", validate("authorizer.requestResource.check('x').allowed()")},
		{"`references`: `refs.<name>`", func(spec *v1alpha1.RuleSpec) {
			spec.References = []v1alpha1.Reference{{Name: "pods", APIVersion: "v1", Kind: "Pod"}}
			spec.Validations[0].Expression = "refs.pods.size() == 0"
		}},
		{"`selectorMatches`", validate("selectorMatches(object.spec.selector, object.metadata.labels)")},
	}
}

// table asks the compilers about each feature.
func table() (string, error) {
	compiler, err := expr.NewCompiler(len(features()) * 2)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("| a rule uses | API server | webhook | audit | command line |\n| --- | --- | --- | --- | --- |\n")
	for _, f := range features() {
		enforced, judged := ofRequests(compiler, f)
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", f.name, mark(enforced), mark(byWebhook(compiler, f)), mark(audited(compiler, f)), mark(judged))
	}
	return b.String(), nil
}

// ofRequests says whether the API server can enforce a rule that uses a
// feature, and whether the command line can judge an object by it.
func ofRequests(compiler *expr.Compiler, f feature) (enforced, judged bool) {
	r, errs := rule.Compile(compiler, key(), 1, example(f, v1alpha1.ModeAdmission))
	if len(errs) > 0 {
		return false, false
	}
	pods := schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	return policy.Check(r) == nil && !policy.NeedsWebhook(r), len(r.RequestOnly()) == 0 && r.MatchesResource(pods, true)
}

// byWebhook says whether the webhook can enforce a rule that uses a feature, and
// something that the API server does not have.
func byWebhook(compiler *expr.Compiler, f feature) bool {
	spec := example(f, v1alpha1.ModeAdmission)
	spec.References = append(spec.References, v1alpha1.Reference{Name: "others", APIVersion: "v1", Kind: "Pod"})
	spec.Validations = append(spec.Validations, admissionregistrationv1.Validation{Expression: "refs.others.size() >= 0"})
	r, errs := rule.Compile(compiler, key(), 1, spec)
	return len(errs) == 0 && policy.Check(r) == nil && policy.NeedsWebhook(r)
}

// audited says whether objects that exist can be judged by such a rule.
func audited(compiler *expr.Compiler, f feature) bool {
	_, errs := rule.Compile(compiler, key(), 1, example(f, v1alpha1.ModeAudit))
	return len(errs) == 0
}

func key() rule.Key {
	return rule.Key{Kind: rule.KindClusterRule, Name: "example"}
}

// example is a rule about pods that uses a feature.
func example(f feature, mode v1alpha1.Mode) *v1alpha1.RuleSpec {
	spec := &v1alpha1.RuleSpec{
		Modes: []v1alpha1.Mode{mode},
		MatchConstraints: v1alpha1.MatchConstraints{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{
			RuleWithOperations: admissionregistrationv1.RuleWithOperations{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			},
		}}},
		Validations: []admissionregistrationv1.Validation{{Expression: "true"}},
	}
	f.use(spec)
	return spec
}

func mark(works bool) string {
	if works {
		return "yes"
	}
	return "—"
}

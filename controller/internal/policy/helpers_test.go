package policy_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// now is when the tests are.
var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func options() policy.Options {
	return policy.Options{
		Recovery: policy.Recovery{Namespaces: []string{"kube-system", "flux-system"}}, Now: now,
		PolicyOwner:  metav1.OwnerReference{APIVersion: "mainstay.dev/v1alpha1", Kind: "ClusterRule", Name: "web", UID: "1"},
		BindingOwner: metav1.OwnerReference{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition", Name: "clusterrules.mainstay.dev", UID: "2"},
	}
}

// clusterRule has mode Admission.
func clusterRule() *builders.ClusterRuleBuilder {
	return builders.MakeClusterRule("web").Modes(v1alpha1.ModeAdmission)
}

func compileRule(t *testing.T, key rule.Key, spec *v1alpha1.RuleSpec) *rule.Rule {
	t.Helper()
	compiler, err := expr.NewCompiler(10)
	if err != nil {
		t.Fatal(err)
	}
	r, errs := rule.Compile(compiler, key, 1, spec)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return r
}

func ofCluster(t *testing.T, obj *v1alpha1.ClusterRule) *rule.Rule {
	t.Helper()
	return compileRule(t, rule.Key{Kind: rule.KindClusterRule, Name: obj.Name}, &obj.Spec)
}

func ofNamespace(t *testing.T, obj *v1alpha1.Rule) *rule.Rule {
	t.Helper()
	return compileRule(t, rule.Key{Kind: rule.KindRule, Namespace: obj.Namespace, Name: obj.Name}, &obj.Spec)
}

// compiled is what a rule compiles to.
func compiled(t *testing.T, r *rule.Rule) *policy.Objects {
	t.Helper()
	objects, refusal := policy.Compile(r, options())
	if refusal != nil {
		t.Fatal(refusal)
	}
	return objects
}

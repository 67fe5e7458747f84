package policy_test

import (
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/builders"
)

func TestGroup(t *testing.T) {
	t.Parallel()
	base := func() *builders.ClusterRuleBuilder {
		return clusterRule().Match("", "v1", "pods").Refer("pods", "v1", "Pod").Validate("refs.pods.size() == 0", "")
	}
	of := func(b *builders.ClusterRuleBuilder) string { return policy.Group(ofCluster(t, b.Obj())) }
	selecting := func(requirements ...metav1.LabelSelectorRequirement) string {
		obj := base().Obj()
		obj.Spec.MatchConstraints.NamespaceSelector = &metav1.LabelSelector{MatchExpressions: requirements}
		return policy.Group(ofCluster(t, obj))
	}
	inNamespace := func(namespace string) string {
		return policy.Group(ofNamespace(t, builders.MakeRule(namespace, "a").Modes(v1alpha1.ModeAdmission).Match("", "v1", "pods").
			Refer("pods", "v1", "Pod").Validate("refs.pods.size() == 0", "").Obj()))
	}
	a := metav1.LabelSelectorRequirement{Key: "a", Operator: metav1.LabelSelectorOpIn, Values: []string{"1", "2"}}
	reversed := metav1.LabelSelectorRequirement{Key: "a", Operator: metav1.LabelSelectorOpIn, Values: []string{"2", "1"}}
	b := metav1.LabelSelectorRequirement{Key: "b", Operator: metav1.LabelSelectorOpExists}
	const ignore, fail = admissionregistrationv1.Ignore, admissionregistrationv1.Fail
	empty := base().Obj()
	empty.Spec.MatchConstraints.NamespaceSelector, empty.Spec.MatchConstraints.ObjectSelector = &metav1.LabelSelector{}, &metav1.LabelSelector{}

	for name, tc := range map[string]struct {
		x, y string
		same bool
	}{
		"the same":                    {of(base()), of(base().Match("apps", "v1", "deployments").Severity(v1alpha1.SeverityHigh)), true},
		"the default":                 {of(base()), of(base().FailurePolicy(fail)), true},
		"another failure policy":      {of(base()), of(base().FailurePolicy(ignore)), false},
		"a warning":                   {of(base().FailurePolicy(ignore)), of(base().FailurePolicy(fail).Actions(admissionregistrationv1.Warn)), true},
		"a warning beside a denial":   {of(base()), of(base().Actions(admissionregistrationv1.Deny, admissionregistrationv1.Audit)), true},
		"another namespaceSelector":   {of(base()), of(base().NamespaceLabels("a", "1")), false},
		"another objectSelector":      {of(base()), of(base().ObjectLabels("a", "1")), false},
		"one selector is not another": {of(base().ObjectLabels("a", "1")), of(base().NamespaceLabels("a", "1")), false},
		"empty selectors":             {of(base()), policy.Group(ofCluster(t, empty)), true},
		"order of requirements":       {selecting(a, b), selecting(b, a), true},
		"order of values":             {selecting(a), selecting(reversed), true},
		"fewer requirements":          {selecting(a, b), selecting(a), false},
		"a Rule is not a ClusterRule": {inNamespace("shop"), of(base()), false},
		"other versions":              {of(base()), of(base().Match("autoscaling", "v2", "horizontalpodautoscalers")), false},
		"any version":                 {of(base()), of(base().Match("autoscaling", "*", "horizontalpodautoscalers")), false},
		"a match condition":           {of(base()), of(base().Condition("a", "true")), false},
		"one and an exception":        {of(base()), of(base().Condition("a", "true").Except("shop", "web", "legacy")), true},
		"long ones":                   {of(base()), of(base().Condition("a", strings.Repeat(" ", 8191)+"true")), true},
		"another namespace":           {inNamespace("shop"), inNamespace("other"), false},
		"the namespace that it is in": {inNamespace("shop"), inNamespace("shop"), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if (tc.x == tc.y) != tc.same {
				t.Errorf("groups %s and %s", tc.x, tc.y)
			}
			for _, group := range []string{tc.x, tc.y} {
				if errs := validation.IsDNS1123Label(group); len(errs) > 0 {
					t.Errorf("%s: %v", group, errs)
				}
			}
		})
	}
	// They stand in the configuration of other versions of Mainstay.
	for name, pinned := range map[string]struct{ got, want string }{
		"the base":            {of(base()), "fail-01ba4719c80b6fe9"},
		"a failure policy":    {of(base().FailurePolicy(ignore)), "ignore-01ba4719c80b6fe9"},
		"a namespaceSelector": {of(base().NamespaceLabels("a", "1")), "fail-fe3209d6d4f51935"},
		"an objectSelector":   {of(base().ObjectLabels("a", "1")), "fail-4908d7ca27a821aa"},
		"a match condition":   {of(base().Condition("a", "true")), "fail-5b64519ec7f2eeff"},
		"two versions":        {of(base().Match("autoscaling", "v2", "horizontalpodautoscalers")), "fail-40b15605c267e87c"},
		"a namespace":         {inNamespace("shop"), "fail-9c15512ccdc8ffba"},
	} {
		if pinned.got != pinned.want {
			t.Errorf("%s: group %s, want %s for ever", name, pinned.got, pinned.want)
		}
	}
}

func TestNeedsWebhook(t *testing.T) {
	t.Parallel()
	pods := func() *builders.ClusterRuleBuilder { return clusterRule().Match("", "v1", "pods") }
	for name, tc := range map[string]struct {
		rule *rule.Rule
		want bool
	}{
		"references":                   {ofCluster(t, pods().Refer("pods", "v1", "Pod").Validate("refs.pods.size() == 0", "").Obj()), true},
		"a helper":                     {ofCluster(t, pods().Validate("selectorMatches({}, object.metadata.labels)", "").Obj()), true},
		"references that nobody reads": {ofCluster(t, pods().Refer("pods", "v1", "Pod").Validate("true", "").Obj()), false},
		"nothing beyond":               {ofCluster(t, pods().Validate("true", "").Obj()), false},
		"references, audited":          {ofCluster(t, pods().Modes(v1alpha1.ModeAudit).Refer("pods", "v1", "Pod").Validate("refs.pods.size() == 0", "").Obj()), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := policy.NeedsWebhook(tc.rule); got != tc.want {
				t.Errorf("NeedsWebhook = %v", got)
			}
			objects, refusal := policy.Compile(tc.rule, options())
			if refusal != nil || tc.want && len(objects.Policies)+len(objects.Bindings) > 0 {
				t.Errorf("objects %v, refusal %v", objects, refusal)
			}
		})
	}
}

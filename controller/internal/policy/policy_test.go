package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// TestWhatIsMade has the names of what a rule compiles to: where it can match
// something and nowhere else.
func TestWhatIsMade(t *testing.T) {
	t.Parallel()
	const (
		guarded  = "mainstay-cr-web"
		recovery = "mainstay-recovery-cr-web"
		kinds    = "mainstay-recovery-kinds-cr-web"
	)
	pods := func() *builders.ClusterRuleBuilder { return clusterRule().Match("", "v1", "pods").Validate("true", "") }
	in := func(operator metav1.LabelSelectorOperator, names ...string) *v1alpha1.ClusterRule {
		obj := pods().Obj()
		obj.Spec.MatchConstraints.NamespaceSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: "kubernetes.io/metadata.name", Operator: operator, Values: names},
		}}
		return obj
	}
	namespaced := func(obj *v1alpha1.ClusterRule) *v1alpha1.ClusterRule {
		scope := admissionregistrationv1.NamespacedScope
		obj.Spec.MatchConstraints.ResourceRules[0].Scope = &scope
		return obj
	}
	tests := map[string]struct {
		rule         *v1alpha1.ClusterRule
		wantPolicies []string
		wantBindings []string
	}{
		"no mode Admission":             {rule: builders.MakeClusterRule("web").Match("", "v1", "pods").Validate("true", "").Obj()},
		"pods":                          {rule: pods().Obj(), wantPolicies: []string{guarded, recovery}, wantBindings: []string{guarded, recovery}},
		"everything":                    {rule: clusterRule().Match("*", "*", "*/*").Validate("false", "").Obj(), wantPolicies: []string{guarded, recovery}, wantBindings: []string{guarded, recovery, kinds}},
		"all of a group":                {rule: clusterRule().Match("", "v1", "*").Validate("true", "").Obj(), wantPolicies: []string{guarded, recovery}, wantBindings: []string{guarded, recovery, kinds}},
		"nodes":                         {rule: clusterRule().Match("", "v1", "nodes").Validate("true", "").Obj(), wantPolicies: []string{recovery}, wantBindings: []string{kinds}},
		"a status":                      {rule: clusterRule().Match("apps", "v1", "deployments/status").Validate("true", "").Obj(), wantPolicies: []string{recovery}, wantBindings: []string{kinds}},
		"leases and pods":               {rule: pods().Match("coordination.k8s.io", "v1", "leases").Obj(), wantPolicies: []string{guarded, recovery}, wantBindings: []string{guarded, recovery, kinds}},
		"subresources of pods":          {rule: clusterRule().Match("", "v1", "pods/*").Validate("true", "").Obj(), wantPolicies: []string{guarded, recovery}, wantBindings: []string{guarded, recovery, kinds}},
		"roles of any group":            {rule: clusterRule().Match("*", "*", "roles").Validate("true", "").Obj(), wantPolicies: []string{guarded, recovery}, wantBindings: []string{guarded, recovery, kinds}},
		"namespaces by name, recovery":  {rule: namespaced(in("In", "kube-system", "flux-system")), wantPolicies: []string{recovery}, wantBindings: []string{recovery}},
		"namespaces by name, any scope": {rule: in("In", "kube-system"), wantPolicies: []string{guarded, recovery}, wantBindings: []string{guarded, recovery}},
		"namespaces by name, others":    {rule: in("In", "shop"), wantPolicies: []string{guarded}, wantBindings: []string{guarded}},
		"namespaces by name, both":      {rule: namespaced(in("In", "shop", "kube-system")), wantPolicies: []string{guarded, recovery}, wantBindings: []string{guarded, recovery}},
		"all but the recovery ones":     {rule: in("NotIn", "kube-system", "flux-system"), wantPolicies: []string{guarded}, wantBindings: []string{guarded}},
		"namespaces by another label":   {rule: pods().NamespaceLabels("team", "web").Obj(), wantPolicies: []string{guarded, recovery}, wantBindings: []string{guarded, recovery}},
		"a namespace by its label":      {rule: pods().NamespaceLabels("kubernetes.io/metadata.name", "shop").Obj(), wantPolicies: []string{guarded}, wantBindings: []string{guarded}},
		"cluster-scoped of any kind":    {rule: clusterRule().Match("example.com", "v1", "*").Scope(admissionregistrationv1.ClusterScope).Validate("true", "").Obj(), wantPolicies: []string{guarded}, wantBindings: []string{guarded}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			policies, bindings := made(compiled(t, ofCluster(t, tc.rule)))
			if diff := cmp.Diff(tc.wantPolicies, policies); diff != "" {
				t.Errorf("policies (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.wantBindings, bindings); diff != "" {
				t.Errorf("bindings (-want +got):\n%s", diff)
			}
		})
	}
}

func made(objects *policy.Objects) (policies, bindings []string) {
	for _, p := range objects.Policies {
		policies = append(policies, p.Name)
	}
	for _, b := range objects.Bindings {
		bindings = append(bindings, b.Name)
	}
	return policies, bindings
}

// TestRuleIsConfined has a namespaced Rule, which matches nothing outside of its
// namespace and nothing that is in none.
func TestRuleIsConfined(t *testing.T) {
	t.Parallel()
	build := func(namespace string) *builders.RuleBuilder {
		return builders.MakeRule(namespace, "web").Modes(v1alpha1.ModeAdmission).Validate("true", "")
	}
	tests := map[string]struct {
		rule *v1alpha1.Rule
		want []string
	}{
		"elsewhere":                 {rule: build("shop").Match("", "v1", "pods").Obj(), want: []string{"mainstay-r-shop.web"}},
		"elsewhere, leases":         {rule: build("shop").Match("coordination.k8s.io", "v1", "leases").Obj(), want: []string{"mainstay-recovery-r-shop.web"}},
		"everything":                {rule: build("shop").Match("*", "*", "*").Obj(), want: []string{"mainstay-r-shop.web", "mainstay-recovery-r-shop.web"}},
		"in a recovery namespace":   {rule: build("flux-system").Match("", "v1", "pods").Obj(), want: []string{"mainstay-recovery-r-flux-system.web"}},
		"cluster-scoped, beside it": {rule: build("shop").Match("", "v1", "persistentvolumes").Scope(admissionregistrationv1.ClusterScope).Match("", "v1", "pods").Obj(), want: []string{"mainstay-r-shop.web"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := compiled(t, ofNamespace(t, tc.rule))
			policies, _ := made(objects)
			if diff := cmp.Diff(tc.want, policies); diff != "" {
				t.Errorf("policies (-want +got):\n%s", diff)
			}
			for _, p := range objects.Policies {
				confined := false
				for _, requirement := range p.Spec.MatchConstraints.NamespaceSelector.MatchExpressions {
					confined = confined || cmp.Equal(requirement, metav1.LabelSelectorRequirement{
						Key: "kubernetes.io/metadata.name", Operator: "In", Values: []string{tc.rule.Namespace},
					})
				}
				if !confined {
					t.Errorf("%s selects namespaces by %v", p.Name, p.Spec.MatchConstraints.NamespaceSelector)
				}
				if len(p.Spec.MatchConstraints.ResourceRules) != 1 {
					t.Errorf("%s has %d resource rules, want the one that is about a namespace", p.Name, len(p.Spec.MatchConstraints.ResourceRules))
				}
				for _, entry := range p.Spec.MatchConstraints.ResourceRules {
					if *entry.Scope != admissionregistrationv1.NamespacedScope {
						t.Errorf("%s matches the scope %s", p.Name, *entry.Scope)
					}
				}
			}
		})
	}
}

// TestExclusionsAreInTheObjects has the parts of law 1 that no program is needed
// for.
func TestExclusionsAreInTheObjects(t *testing.T) {
	t.Parallel()
	objects := compiled(t, ofCluster(t, clusterRule().Match("*", "*", "*/*").Validate("false", "").FailurePolicy(admissionregistrationv1.Fail).
		NamespaceLabels("team", "web").ObjectLabels("app", "web").Exclude("", "v1", "events").Obj()))
	guarded, recovery := objects.Policies[0].Spec, objects.Policies[1].Spec

	bypass := metav1.LabelSelectorRequirement{Key: "mainstay.dev/bypass", Operator: "NotIn", Values: []string{"true"}}
	wantGuarded := &metav1.LabelSelector{MatchLabels: map[string]string{"team": "web"}, MatchExpressions: []metav1.LabelSelectorRequirement{
		bypass, {Key: "kubernetes.io/metadata.name", Operator: "NotIn", Values: []string{"flux-system", "kube-system"}},
	}}
	if diff := cmp.Diff(wantGuarded, guarded.MatchConstraints.NamespaceSelector); diff != "" {
		t.Errorf("namespaces of the guarded policy (-want +got):\n%s", diff)
	}
	if got := guarded.MatchConstraints.ExcludeResourceRules; len(got) < 14 || got[0].Resources[0] != "events" || got[1].APIGroups[0] != "mainstay.dev" || got[2].Resources[0] != "nodes/*" {
		t.Errorf("the guarded policy excludes %v, want the rule's own, Mainstay's and the recovery kinds", got)
	}
	if got := recovery.MatchConstraints.ExcludeResourceRules; len(got) != 2 || got[1].APIGroups[0] != "mainstay.dev" {
		t.Errorf("the recovery policy excludes %v, want the rule's own and Mainstay's kinds", got)
	}
	if *guarded.FailurePolicy != admissionregistrationv1.Fail || *recovery.FailurePolicy != admissionregistrationv1.Ignore {
		t.Errorf("failure policies %s and %s, want Fail, and Ignore on the recovery path", *guarded.FailurePolicy, *recovery.FailurePolicy)
	}
	wantRecovery := &metav1.LabelSelector{MatchLabels: map[string]string{"team": "web"}, MatchExpressions: []metav1.LabelSelectorRequirement{bypass}}
	if diff := cmp.Diff(wantRecovery, recovery.MatchConstraints.NamespaceSelector); diff != "" {
		t.Errorf("namespaces of the recovery policy (-want +got):\n%s", diff)
	}
	wantConditions := []admissionregistrationv1.MatchCondition{{
		Name: "mainstay.dev/not-the-control-plane",
		Expression: `!(request.userInfo.?username.orValue('') in ["system:apiserver", "system:cloud-controller-manager", "system:kube-controller-manager", "system:kube-scheduler"]` +
			` || request.userInfo.?groups.orValue([]).exists(g, g in ["system:bootstrappers", "system:masters", "system:nodes", "system:serviceaccounts:flux-system", "system:serviceaccounts:kube-system"]))`,
	}}
	if diff := cmp.Diff(wantConditions, recovery.MatchConditions); diff != "" {
		t.Errorf("conditions of the recovery policy (-want +got):\n%s", diff)
	}
	for _, p := range objects.Policies {
		if p.Spec.MatchConstraints.ObjectSelector.MatchLabels["app"] != "web" {
			t.Errorf("%s lost the rule's own objectSelector", p.Name)
		}
	}
	for _, p := range objects.Policies {
		if diff := cmp.Diff([]metav1.OwnerReference{options().PolicyOwner}, p.OwnerReferences); diff != "" {
			t.Errorf("owners of %s (-want +got):\n%s", p.Name, diff)
		}
	}
	for _, b := range objects.Bindings {
		if diff := cmp.Diff([]metav1.OwnerReference{options().BindingOwner}, b.OwnerReferences); diff != "" {
			t.Errorf("owners of the binding %s (-want +got):\n%s", b.Name, diff)
		}
	}
	inNamespaces := objects.Bindings[1].Spec.MatchResources
	wantNames := []metav1.LabelSelectorRequirement{{Key: "kubernetes.io/metadata.name", Operator: "In", Values: []string{"flux-system", "kube-system"}}}
	if diff := cmp.Diff(wantNames, inNamespaces.NamespaceSelector.MatchExpressions); diff != "" {
		t.Errorf("namespaces of the binding (-want +got):\n%s", diff)
	}
	if scope := *inNamespaces.ResourceRules[0].Scope; scope != admissionregistrationv1.NamespacedScope {
		t.Errorf("the binding of the namespaces has the scope %s: it would match what is in none", scope)
	}
}

// TestConditionsOfRulesCostNobodyElse has a rule's own conditions stand behind what says who is
// judged: a node's Lease must not wait for them.
func TestConditionsOfRulesCostNobodyElse(t *testing.T) {
	t.Parallel()
	objects := compiled(t, ofCluster(t, clusterRule().Match("*", "*", "*/*").Condition("dear", "true // or so").Validate("true", "").Obj()))
	for _, p := range objects.Policies {
		conditions := p.Spec.MatchConditions
		if len(conditions) != 2 || conditions[1].Name != "dear" || conditions[1].Expression != conditions[0].Expression+" && (\ntrue // or so\n)" {
			t.Errorf("conditions of %s: %v, want the rule's behind Mainstay's", p.Name, conditions)
		}
	}
	if len(objects.Policies) != 2 {
		t.Errorf("%d policies, want the guarded and the recovery one", len(objects.Policies))
	}
}

func TestExceptions(t *testing.T) {
	t.Parallel()
	soon, late := now.Add(1), now.Add(5)
	const object = `(request.resource.group == '' && request.resource.resource == 'namespaces' ? '' : request.?namespace.orValue('')) + '/' + (request.?name.orValue('') != '' || oldObject == null ? request.?name.orValue('') : oldObject.?metadata.?name.orValue(''))`
	build := func() *builders.ClusterRuleBuilder { return clusterRule().Match("", "v1", "pods").Validate("true", "") }
	tests := map[string]struct {
		rule       *v1alpha1.ClusterRule
		want       string
		wantExpiry int64
	}{
		"none":            {rule: build().Obj()},
		"one":             {rule: build().Except("shop", "web", "known").Obj(), want: `!(` + object + ` in ["shop/web"])`},
		"of no namespace": {rule: build().Except("", "web", "known").Obj(), want: `!(` + object + ` in ["/web"])`},
		"lapsed":          {rule: build().Except("shop", "web", "known").Until(now).Obj()},
		"sorted, once, those that are left": {
			rule:       build().Except("b", "x", "r").Until(late).Except("a", "x", "r").Until(soon).Except("b", "x", "r").Except("c", "x", "r").Until(now.Add(-1)).Obj(),
			want:       `!(` + object + ` in ["a/x", "b/x"])`,
			wantExpiry: soon.UnixNano(),
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := compiled(t, ofCluster(t, tc.rule))
			for _, p := range objects.Policies {
				got := ""
				for _, condition := range p.Spec.MatchConditions {
					if condition.Name == "mainstay.dev/no-exception" {
						got = condition.Expression
					}
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("condition of %s (-want +got):\n%s", p.Name, diff)
				}
			}
			if (tc.wantExpiry == 0) != objects.NextExpiry.IsZero() || tc.wantExpiry != 0 && objects.NextExpiry.UnixNano() != tc.wantExpiry {
				t.Errorf("next expiry %s, want %d", objects.NextExpiry, tc.wantExpiry)
			}
		})
	}
	own := compiled(t, ofNamespace(t, builders.MakeRule("shop", "web").Modes(v1alpha1.ModeAdmission).Match("", "v1", "pods").Validate("true", "").Except("", "x", "r").Obj()))
	if got := own.Policies[0].Spec.MatchConditions[1].Expression; !strings.HasSuffix(got, ` in ["shop/x"])`) {
		t.Errorf("a Rule's exception is %s, want it in the Rule's namespace", got)
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	r := ofCluster(t, clusterRule().Match("", "v1", "pods").
		Validate("object.a == 1", "  it has\n no a ").Reason(metav1.StatusReasonForbidden).
		Validate("object.b\n  == 1", "").
		Validate("object.c == 1", "").MessageExpression("'c is ' + string(object.c) // a comment").
		Validate("object.d == 1", strings.Repeat("d", 1024)).Obj())
	got := compiled(t, r).Policies[0].Spec.Validations
	forbidden := metav1.StatusReasonForbidden
	want := []admissionregistrationv1.Validation{
		{Expression: "object.a == 1", Message: "ClusterRule web: it has no a (kubectl describe clusterrule web)", Reason: &forbidden},
		{Expression: "object.b\n  == 1", Message: "ClusterRule web: failed expression: object.b == 1 (kubectl describe clusterrule web)"},
		{
			Expression: "object.c == 1", Message: "ClusterRule web: failed expression: object.c == 1 (kubectl describe clusterrule web)",
			MessageExpression: "[\n'c is ' + string(object.c) // a comment\n].map(m, m.trim() == '' || m.contains('\\n') ? '' : \"ClusterRule web: \" + m.trim() + \" (kubectl describe clusterrule web)\")[0]",
		},
		{Expression: "object.d == 1", Message: "ClusterRule web: " + strings.Repeat("d", 1024) + " (kubectl describe clusterrule web)"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("validations (-want +got):\n%s", diff)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	pods := func() *builders.ClusterRuleBuilder { return clusterRule().Match("", "v1", "pods").Validate("true", "") }
	conditions := func(n int) *v1alpha1.ClusterRule {
		b := pods()
		for i := range n {
			b.Condition(fmt.Sprintf("c%d", i), "true")
		}
		return b.Obj()
	}
	tests := map[string]struct {
		rule *rule.Rule
		want *policy.Refusal
	}{
		"nothing beyond": {rule: ofCluster(t, pods().Refer("pods", "v1", "Pod").Obj())},
		"who asks":       {rule: ofCluster(t, pods().Validate("request.userInfo.username != 'a' && authorizer.requestResource.check('x').allowed()", "").Obj())},
		"as many conditions as there is room for": {rule: ofCluster(t, conditions(62))},
		"references, without the mode": {
			rule: ofCluster(t, pods().Modes(v1alpha1.ModeAudit).Refer("pods", "v1", "Pod").Validate("refs.pods.size() == 0", "").Obj()),
		},
		"who asks, and references": {
			rule: ofCluster(t, pods().Refer("pods", "v1", "Pod").Validate("refs.pods.size() == 0 && authorizer.requestResource.check('x').allowed()", "").Obj()),
			want: &policy.Refusal{Reason: "InvalidSpec", Message: "spec: the expressions use refs.pods, which takes the webhook, and authorizer, which only the API server has: " +
				"leave out one of them, or make two rules of this one"},
		},
		"too many conditions": {
			rule: ofCluster(t, conditions(63)),
			want: &policy.Refusal{Reason: "InvalidSpec", Message: "spec.matchConditions: a rule with mode Admission may have 62, and this one has 63: join some by &&"},
		},
		"a condition with a name of our own": {
			rule: ofCluster(t, pods().Condition("a", "true").Condition("mainstay.dev/no-exception", "true").Obj()),
			want: &policy.Refusal{Reason: "InvalidSpec", Message: `spec.matchConditions[1].name: names that begin with mainstay.dev/ are Mainstay's own with mode Admission: rename "mainstay.dev/no-exception"`},
		},
		"a Rule about the cluster only": {
			rule: ofNamespace(t, builders.MakeRule("shop", "a").Modes(v1alpha1.ModeAdmission).Match("", "v1", "nodes").Scope(admissionregistrationv1.ClusterScope).Validate("true", "").Obj()),
			want: &policy.Refusal{Reason: "InvalidSpec", Message: "spec.matchConstraints.resourceRules: all entries have the scope Cluster, and a namespaced Rule matches nothing of that"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects, refusal := policy.Compile(tc.rule, options())
			if diff := cmp.Diff(tc.want, refusal); diff != "" {
				t.Errorf("refusal (-want +got):\n%s", diff)
			}
			if (objects == nil) != (tc.want != nil) {
				t.Errorf("objects %v beside the refusal %v", objects, refusal)
			}
		})
	}
}

// TestNamesNeverCollide has rules whose names are made to be mistaken for
// others'.
func TestNamesNeverCollide(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 230) + "."
	keys := []rule.Key{
		{Kind: rule.KindClusterRule, Name: "a"},
		{Kind: rule.KindClusterRule, Name: "a.recovery"},
		{Kind: rule.KindClusterRule, Name: "recovery-cr-a"},
		{Kind: rule.KindClusterRule, Name: "kinds-cr-a"},
		{Kind: rule.KindClusterRule, Name: "a.b"},
		{Kind: rule.KindClusterRule, Name: "r-a.b"},
		{Kind: rule.KindRule, Namespace: "a", Name: "b"},
		{Kind: rule.KindRule, Namespace: "a", Name: "b.c"},
		{Kind: rule.KindRule, Namespace: "a-b", Name: "c"},
		{Kind: rule.KindRule, Namespace: "recovery-cr", Name: "a"},
		{Kind: rule.KindRule, Namespace: "kinds", Name: "a"},
		{Kind: rule.KindClusterRule, Name: long + strings.Repeat("b", 22)},
		{Kind: rule.KindClusterRule, Name: long + strings.Repeat("c", 22)},
		{Kind: rule.KindRule, Namespace: strings.Repeat("n", 63), Name: long + strings.Repeat("b", 22)},
		{Kind: rule.KindRule, Namespace: strings.Repeat("n", 63), Name: long + strings.Repeat("c", 22)},
	}
	seen := map[string]string{}
	for _, key := range keys {
		spec := clusterRule().Match("*", "*", "*").Validate("true", "").Obj().Spec
		objects := compiled(t, compileRule(t, key, &spec))
		for i := range objects.Bindings {
			obj := objects.Bindings[i]
			if errs := validation.IsDNS1123Subdomain(obj.Name); len(errs) > 0 {
				t.Errorf("%s: the name %s: %v", key, obj.Name, errs)
			}
			if other, taken := seen[obj.Name]; taken {
				t.Errorf("%s and %s are both called %s", key, other, obj.Name)
			}
			seen[obj.Name] = key.String()
			for label, value := range obj.Labels {
				if errs := validation.IsValidLabelValue(value); len(errs) > 0 {
					t.Errorf("%s: label %s: %v", key, label, errs)
				}
			}
			if back, ok := policy.KeyOf(obj.Annotations[v1alpha1.AnnotationRule]); !ok || back != key {
				t.Errorf("%s is found as %s", key, back)
			}
		}
	}
	// A ClusterRule has three bindings; a Rule has none for recovery namespaces.
	if len(seen) != 3*8+2*7 {
		t.Errorf("%d names of %d rules", len(seen), len(keys))
	}
}

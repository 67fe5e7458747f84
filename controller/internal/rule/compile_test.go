package rule_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/builders"
)

func TestCompileErrors(t *testing.T) {
	t.Parallel()
	cluster := rule.Key{Kind: rule.KindClusterRule, Name: "a"}
	namespaced := rule.Key{Kind: rule.KindRule, Namespace: "flux-system", Name: "a"}
	broken := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Like"}}}
	withBroken := clusterRule().Validate("true", "").Refer("r", "v1", "Pod").Obj().Spec
	withBroken.MatchConstraints.ObjectSelector = broken
	withBroken.References[0].LabelSelector = broken
	empty := v1alpha1.RuleSpec{}
	hollow := clusterRule().Validate("true", "").Obj().Spec
	hollow.MatchConstraints.ResourceRules[0].RuleWithOperations = admissionregistrationv1.RuleWithOperations{}
	scope := admissionregistrationv1.ScopeType("Everywhere")
	hollow.MatchConstraints.ExcludeResourceRules = clusterRule().Obj().Spec.MatchConstraints.ResourceRules
	hollow.MatchConstraints.ExcludeResourceRules[0].Scope = &scope
	tests := map[string]struct {
		key  rule.Key
		spec v1alpha1.RuleSpec
		want []string
	}{
		"nothing": {
			key: cluster, spec: empty,
			want: []string{
				"spec.matchConstraints.resourceRules: Required value: at least one resource rule must be given",
				"spec.validations: Required value: at least one validation must be given",
			},
		},
		"expressions": {
			key: cluster, spec: clusterRule().Validate("object.spec.x >", "").Variable("v", "refs.pod").Refer("pods", "v1", "Pod").Validate("x", "").Obj().Spec,
			want: []string{
				`spec.variables[0].expression: Invalid value: "refs.pod": line 1, column 5: undefined field 'pod'`,
				`spec.validations[0].expression: Invalid value: "object.spec.x >": line 1, column 16: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}`,
				`spec.validations[1].expression: Invalid value: "x": line 1, column 1: undeclared reference to 'x'`,
			},
		},
		"selectors": {
			key: cluster, spec: withBroken,
			want: []string{
				`spec.matchConstraints.objectSelector.matchExpressions[0].operator: Invalid value: "Like": not a valid selector operator`,
				`spec.references[0].labelSelector.matchExpressions[0].operator: Invalid value: "Like": not a valid selector operator`,
			},
		},
		"references": {
			key: cluster, spec: clusterRule().Validate("true", "").
				Refer("a", "a/b/c", "Pod").Refer("b", "", "").Refer("b", "v1", "Pod", "Same", "x").Refer("c-d", "apps/", "Pod").Obj().Spec,
			want: []string{
				`spec.references[0].apiVersion: Invalid value: "a/b/c": must be version or group/version`,
				`spec.references[1].apiVersion: Invalid value: "": must be version or group/version`,
				`spec.references[1].kind: Required value: must be given`,
				`spec.references[2].namespaces: Invalid value: ["Same","x"]: Same and All stand alone`,
				`spec.references[2].name: Duplicate value: "b"`,
				`spec.references[3].name: Invalid value: "c-d": must be a CEL identifier`,
				`spec.references[3].apiVersion: Invalid value: "apps/": must be version or group/version`,
			},
		},
		"resource rules": {
			key: cluster, spec: hollow,
			want: []string{
				"spec.matchConstraints.resourceRules[0].apiGroups: Required value: at least one must be given",
				"spec.matchConstraints.resourceRules[0].apiVersions: Required value: at least one must be given",
				"spec.matchConstraints.resourceRules[0].operations: Required value: at least one must be given",
				"spec.matchConstraints.resourceRules[0].resources: Required value: at least one must be given",
				`spec.matchConstraints.excludeResourceRules[0].scope: Unsupported value: "Everywhere": supported values: "*", "Cluster", "Namespaced"`,
			},
		},
		"never audited": {
			key: cluster, spec: builders.MakeClusterRule("a").
				Match("", "v1", "pods").Operations(admissionregistrationv1.Delete).Match("", "v1", "pods/exec").Validate("true", "").Obj().Spec,
			want: []string{"spec.matchConstraints.resourceRules: Invalid value: none of the entries matches objects that exist: that takes the operation CREATE, UPDATE or * and a resource that is no subresource"},
		},
		"what only requests have, beside the audit": {
			key: cluster, spec: clusterRule().Modes(v1alpha1.ModeAdmission, v1alpha1.ModeAudit).
				Validate("request.userInfo.username != 'jane'", "").Validate("authorizer.requestResource.check('x').allowed()", "").Obj().Spec,
			want: []string{
				`spec.validations[0].expression: Invalid value: "request.userInfo.username != 'jane'": line 1, column 8: request.userInfo has no meaning outside admission: only a rule whose modes are [Admission] may use it`,
				`spec.validations[1].expression: Invalid value: "authorizer.requestResource.check('x').allowed()": line 1, column 1: undeclared reference to 'authorizer': it has no meaning outside admission: only a rule whose modes are [Admission] may use it`,
			},
		},
		"reason": {
			key: cluster, spec: clusterRule().Validate("true", "").Reason("Teapot").Obj().Spec,
			want: []string{`spec.validations[0].reason: Unsupported value: "Teapot": supported values: "Forbidden", "Invalid", "RequestEntityTooLarge"`},
		},
		"a Rule stays in its namespace": {
			key: namespaced, spec: clusterRule().Validate("true", "").NamespaceLabels("a", "b").
				Refer("a", "v1", "Pod", "All").Refer("b", "v1", "Pod", "kube-system").Refer("c", "v1", "Pod", "Same").Refer("d", "v1", "Pod").
				Except("kube-system", "x", "r").Except("flux-system", "x", "r").Except("", "x", "r").Obj().Spec,
			want: []string{
				"spec.matchConstraints.namespaceSelector: Forbidden: a namespaced Rule matches its own namespace only",
				"spec.references[0].namespaces: Forbidden: a namespaced Rule refers to its own namespace only",
				"spec.references[1].namespaces: Forbidden: a namespaced Rule refers to its own namespace only",
				"spec.exceptions[0].namespace: Forbidden: a namespaced Rule has exceptions in its own namespace only",
			},
		},
	}
	c := newCompiler(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, errs := rule.Compile(c, tc.key, 1, &tc.spec)
			if r != nil {
				t.Error("there is a rule beside the errors")
			}
			var got []string
			for _, err := range errs {
				got = append(got, err.Error())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("errors: -want +got\n%s", diff)
			}
		})
	}
}

func TestRuleOfRequestsOnly(t *testing.T) {
	t.Parallel()
	spec := builders.MakeClusterRule("a").Modes(v1alpha1.ModeAdmission).
		Match("", "v1", "pods").Operations(admissionregistrationv1.Delete).Match("", "v1", "pods/exec").
		Validate("request.userInfo.username != 'jane' && authorizer.requestResource.check('x').allowed()", "").Obj().Spec
	r, errs := rule.Compile(newCompiler(t), rule.Key{Kind: rule.KindClusterRule, Name: "a"}, 1, &spec)
	if len(errs) > 0 {
		t.Fatalf("operations and expressions that only requests have: %v", errs)
	}
	if r.Audits() || !r.Enforces() {
		t.Errorf("audits is %t and enforces %t, want a rule of requests", r.Audits(), r.Enforces())
	}
	if diff := cmp.Diff([]string{"authorizer", "request.userInfo"}, r.RequestOnly()); diff != "" {
		t.Errorf("of requests only (-want +got):\n%s", diff)
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		modes               []v1alpha1.Mode
		wantAudit, wantGate bool
	}{
		"none":      {wantAudit: true},
		"Audit":     {modes: []v1alpha1.Mode{v1alpha1.ModeAudit}, wantAudit: true},
		"Admission": {modes: []v1alpha1.Mode{v1alpha1.ModeAdmission}, wantGate: true},
		"both":      {modes: []v1alpha1.Mode{v1alpha1.ModeAudit, v1alpha1.ModeAdmission}, wantAudit: true, wantGate: true},
	} {
		spec := &v1alpha1.RuleSpec{Modes: tc.modes}
		if got := rule.HasMode(spec, v1alpha1.ModeAudit); got != tc.wantAudit {
			t.Errorf("%s: mode Audit is %t, want %t", name, got, tc.wantAudit)
		}
		if got := rule.HasMode(spec, v1alpha1.ModeAdmission); got != tc.wantGate {
			t.Errorf("%s: mode Admission is %t, want %t", name, got, tc.wantGate)
		}
	}
}

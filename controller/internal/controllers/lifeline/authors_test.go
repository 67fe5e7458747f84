package lifeline

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/apiserver/pkg/admission"
	admissioncel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/cel/environment"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// authors is the policy mainstay-lifeline-authors, as it is installed.
func authors(t *testing.T) *admissionregistrationv1.ValidatingAdmissionPolicy {
	t.Helper()
	file, err := os.Open("../../../../manifests/base/authors.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	documents := yaml.NewYAMLOrJSONDecoder(file, 4096)
	for {
		policy := &admissionregistrationv1.ValidatingAdmissionPolicy{}
		if err := documents.Decode(policy); errors.Is(err, io.EOF) {
			t.Fatal("there is no policy mainstay-lifeline-authors")
		} else if err != nil {
			t.Fatal(err)
		}
		if policy.Kind == "ValidatingAdmissionPolicy" && policy.Name == "mainstay-lifeline-authors" {
			return policy
		}
	}
}

// compileAuthors compiles the policy as the API server does.
func compileAuthors(t *testing.T, policy *admissionregistrationv1.ValidatingAdmissionPolicy) validating.Validator {
	t.Helper()
	compiler, err := admissioncel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	if err != nil {
		t.Fatal(err)
	}
	asks, none, mode := admissioncel.OptionalVariableDeclarations{HasAuthorizer: true}, admissioncel.OptionalVariableDeclarations{}, environment.StoredExpressions
	for _, v := range policy.Spec.Variables {
		compiler.CompileAndStoreVariable(&validating.Variable{Name: v.Name, Expression: v.Expression}, asks, mode)
	}
	var conditions, validations, messages []admissioncel.ExpressionAccessor
	for _, c := range policy.Spec.MatchConditions {
		conditions = append(conditions, new(matchconditions.MatchCondition(c)))
	}
	for _, v := range policy.Spec.Validations {
		validations = append(validations, &validating.ValidationCondition{Expression: v.Expression, Reason: v.Reason})
		messages = append(messages, &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression})
	}
	matcher := matchconditions.NewMatcher(compiler.CompileCondition(conditions, asks, mode), policy.Spec.FailurePolicy, "policy", "validate", policy.Name)
	return validating.NewValidator(compiler.CompileCondition(validations, asks, mode), matcher,
		compiler.CompileCondition(nil, none, mode), compiler.CompileCondition(messages, none, mode), policy.Spec.FailurePolicy, nil)
}

// rights are what an author may do, as verb resource/subresource.
type rights []string

func (r rights) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	asked := strings.TrimSuffix(a.GetVerb()+" "+a.GetResource()+"/"+a.GetSubresource(), "/")
	if slices.Contains(r, asked) {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionDeny, "", nil
}

// Nobody has Mainstay do or show what he may not do or see himself.
func TestAuthorsNeedTheRightsThatMainstayUsesForThem(t *testing.T) {
	t.Parallel()
	auto := func(keys ...string) *v1alpha1.Lifeline {
		return line().Heal(v1alpha1.HealAuto, 12).TopologyKeys(keys...).Obj()
	}
	dry := func(keys ...string) *v1alpha1.Lifeline {
		return line().Heal(v1alpha1.HealDryRun, 12).TopologyKeys(keys...).Obj()
	}
	const (
		license = "vendor.example/license"
		evict   = "create pods/eviction"
		list    = "list nodes"

		mayNotEvict = "eve may not evict pods in namespace shop, and with spec.heal.mode Auto Mainstay would: it takes the right to create pods/eviction there"
		mayNotList  = "eve may not list nodes, whose labels the Lifeline would show: vendor.example/license"
	)
	tests := map[string]struct {
		old, obj *v1alpha1.Lifeline
		may      rights
		want     string
	}{
		"a dry run":                                  {obj: dry()},
		"Auto":                                       {obj: auto(), want: mayNotEvict},
		"Auto of who may evict":                      {obj: auto(), may: rights{evict}},
		"to Auto":                                    {old: dry(), obj: auto(), want: mayNotEvict},
		"Auto of other domains":                      {old: auto(), obj: auto("topology.kubernetes.io/zone"), want: mayNotEvict},
		"from Auto to a dry run":                     {old: auto(), obj: dry()},
		"labels that are known":                      {obj: dry("kubernetes.io/hostname", "topology.kubernetes.io/zone", "topology.kubernetes.io/region")},
		"another label":                              {obj: dry("kubernetes.io/hostname", license), want: mayNotList},
		"another label, Auto":                        {obj: auto(license), may: rights{evict}, want: mayNotList},
		"another label of who may list nodes":        {obj: dry(license), may: rights{list}},
		"another label of who may do both":           {obj: auto(license), may: rights{evict, list}},
		"another label later":                        {old: dry(), obj: dry(license), want: mayNotList},
		"one more label":                             {old: dry(license), obj: dry(license, "vendor.example/rack"), want: "would show: vendor.example/rack"},
		"a label of somebody else stays":             {old: auto(license), obj: dry(license)},
		"a label of somebody else goes":              {old: dry(license, "vendor.example/rack"), obj: dry("vendor.example/rack")},
		"nothing changes of what somebody else made": {old: auto(license), obj: auto(license)},
	}
	validator := compileAuthors(t, authors(t))
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gvk := v1alpha1.GroupVersion.WithKind("Lifeline")
			gvr := v1alpha1.GroupVersion.WithResource("lifelines")
			attributes := &admission.VersionedAttributes{VersionedKind: gvk, VersionedObject: tt.obj}
			operation, old := admission.Create, runtime.Object(nil)
			if tt.old != nil {
				operation, old = admission.Update, tt.old
				attributes.VersionedOldObject = tt.old
			}
			attributes.Attributes = admission.NewAttributesRecord(tt.obj, old, gvk, shop, tt.obj.Name, gvr, "", operation, nil, false, &user.DefaultInfo{Name: "eve"})
			result := validator.Validate(t.Context(), gvr, attributes, nil, nil, celconfig.RuntimeCELCostBudget, tt.may)
			var denied []string
			for _, d := range result.Decisions {
				if d.Action != validating.ActionAdmit {
					denied = append(denied, d.Message)
					if d.Reason != metav1.StatusReasonForbidden {
						t.Errorf("denied with %s: %s", d.Reason, d.Message)
					}
				}
			}
			switch {
			case tt.want == "" && len(denied) > 0:
				t.Errorf("denied: %q", denied)
			case tt.want != "" && (len(denied) != 1 || !strings.Contains(denied[0], tt.want)):
				t.Errorf("denied: %q, want %q", denied, tt.want)
			}
		})
	}
}

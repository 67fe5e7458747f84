package schema_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// TestRoundTrip has an object of each kind with every field set, and finds each of
// them again after the API server had it.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	meta := metav1.ObjectMeta{Name: "round-trip", Namespace: env.namespace}
	full := fullRuleSpec()
	own := fullRuleSpec()
	own.MatchConstraints.NamespaceSelector = nil
	own.References[0].Namespaces = []string{v1alpha1.NamespacesSame}
	tests := map[string]struct {
		obj   client.Object
		empty client.Object
		// parts are the spec and the status of an object of the kind.
		parts func(obj client.Object) (spec, status any)
		// wantUnset are fields that the kind does not allow.
		wantUnset []string
	}{
		"ClusterRule": {
			obj:   &v1alpha1.ClusterRule{ObjectMeta: metav1.ObjectMeta{Name: "round-trip"}, Spec: full, Status: fullRuleStatus()},
			empty: &v1alpha1.ClusterRule{},
			parts: func(obj client.Object) (any, any) {
				is := obj.(*v1alpha1.ClusterRule)
				return is.Spec, is.Status
			},
		},
		"Rule": {
			obj:   &v1alpha1.Rule{ObjectMeta: meta, Spec: own, Status: fullRuleStatus()},
			empty: &v1alpha1.Rule{},
			parts: func(obj client.Object) (any, any) {
				is := obj.(*v1alpha1.Rule)
				return is.Spec, is.Status
			},
			wantUnset: []string{"spec.MatchConstraints.NamespaceSelector"},
		},
		"Lifeline": {
			obj:   &v1alpha1.Lifeline{ObjectMeta: meta, Spec: fullLifelineSpec(), Status: fullLifelineStatus()},
			empty: &v1alpha1.Lifeline{},
			parts: func(obj client.Object) (any, any) {
				is := obj.(*v1alpha1.Lifeline)
				return is.Spec, is.Status
			},
		},
		"Intervention": {
			obj:   &v1alpha1.Intervention{ObjectMeta: meta, Spec: fullInterventionSpec(), Status: fullInterventionStatus()},
			empty: &v1alpha1.Intervention{},
			parts: func(obj client.Object) (any, any) {
				is := obj.(*v1alpha1.Intervention)
				return is.Spec, is.Status
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			spec, status := tc.parts(tc.obj)
			got := append(unset("spec", reflect.ValueOf(spec)), unset("status", reflect.ValueOf(status))...)
			if diff := cmp.Diff(tc.wantUnset, got); diff != "" {
				t.Fatalf("fields that are not set (-want +got):\n%s", diff)
			}

			live := tc.obj.DeepCopyObject().(client.Object)
			if err := env.typed.Create(ctx, live); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := env.typed.Delete(context.WithoutCancel(ctx), live); err != nil {
					t.Error(err)
				}
			})
			withStatus := tc.obj.DeepCopyObject().(client.Object)
			withStatus.SetResourceVersion(live.GetResourceVersion())
			if err := env.typed.Status().Update(ctx, withStatus); err != nil {
				t.Fatal(err)
			}
			if err := env.typed.Get(ctx, client.ObjectKeyFromObject(tc.obj), tc.empty); err != nil {
				t.Fatal(err)
			}
			gotSpec, gotStatus := tc.parts(tc.empty)
			if diff := cmp.Diff(spec, gotSpec); diff != "" {
				t.Errorf("spec (-sent +read):\n%s", diff)
			}
			if diff := cmp.Diff(status, gotStatus); diff != "" {
				t.Errorf("status (-sent +read):\n%s", diff)
			}
		})
	}
}

// unset are the fields below a value that hold nothing, so that their loss would
// not be seen.
func unset(path string, value reflect.Value) []string {
	if value.IsZero() {
		return []string{path}
	}
	switch value.Kind() {
	case reflect.Pointer:
		return unset(path, value.Elem())
	case reflect.Slice:
		var all []string
		for i := range value.Len() {
			all = append(all, unset(fmt.Sprintf("%s[%d]", path, i), value.Index(i))...)
		}
		return all
	case reflect.Struct:
		if strings.HasSuffix(value.Type().PkgPath(), "/meta/v1") && (value.Type().Name() == "Time" || value.Type().Name() == "Duration") {
			return nil
		}
		var all []string
		for i := range value.NumField() {
			all = append(all, unset(path+"."+value.Type().Field(i).Name, value.Field(i))...)
		}
		return all
	default:
		return nil
	}
}

// moment is a time to the second, which is all that the API keeps of one.
func moment() metav1.Time { return metav1.Unix(1800000000, 0) }

func fullSelector() metav1.LabelSelector {
	return metav1.LabelSelector{
		MatchLabels:      map[string]string{"app": "a"},
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "tier", Operator: metav1.LabelSelectorOpIn, Values: []string{"x", "y"}}},
	}
}

func fullRuleSpec() v1alpha1.RuleSpec {
	resources := []admissionregistrationv1.NamedRuleWithOperations{{
		ResourceNames: []string{"a"},
		RuleWithOperations: admissionregistrationv1.RuleWithOperations{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
			Rule: admissionregistrationv1.Rule{
				APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"},
				Scope: new(admissionregistrationv1.NamespacedScope),
			},
		},
	}}
	return v1alpha1.RuleSpec{
		Suspend:           true,
		Severity:          v1alpha1.SeverityCritical,
		Modes:             []v1alpha1.Mode{v1alpha1.ModeAdmission, v1alpha1.ModeAudit},
		ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Warn, admissionregistrationv1.Audit},
		FailurePolicy:     new(admissionregistrationv1.Ignore),
		MatchConstraints: v1alpha1.MatchConstraints{
			NamespaceSelector: new(fullSelector()), ObjectSelector: new(fullSelector()),
			ResourceRules: resources, ExcludeResourceRules: resources,
		},
		MatchConditions: []admissionregistrationv1.MatchCondition{{Name: "c", Expression: "true"}},
		Variables:       []admissionregistrationv1.Variable{{Name: "v", Expression: "1"}},
		Validations: []admissionregistrationv1.Validation{{
			Expression: "true", Message: "m", MessageExpression: "'m'", Reason: new(metav1.StatusReasonForbidden),
		}},
		References: []v1alpha1.Reference{{
			Name: "pods", APIVersion: "v1", Kind: "Pod", Namespaces: []string{"a", "b"}, LabelSelector: new(fullSelector()),
		}},
		Exceptions: []v1alpha1.Exception{{Namespace: "a", Name: "b", Reason: "known", Expires: new(moment())}},
	}
}

func fullConditions() []metav1.Condition {
	return []metav1.Condition{{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSucceeded, Message: "fine",
		ObservedGeneration: 3, LastTransitionTime: moment(),
	}}
}

func fullRuleStatus() v1alpha1.RuleStatus {
	return v1alpha1.RuleStatus{
		ObservedGeneration: 3,
		Conditions:         fullConditions(),
		Enforcement:        v1alpha1.EnforcementInProcess,
		Summary:            &v1alpha1.RuleSummary{Pass: 1, Fail: 2, Error: 3, Skip: 4},
		Violations: []v1alpha1.Violation{{
			APIVersion: "v1", Kind: "Pod", Namespace: "a", Name: "b", Outcome: v1alpha1.OutcomeFail,
			Reason: metav1.StatusReasonForbidden, Message: "m",
		}},
	}
}

func fullLifelineSpec() v1alpha1.LifelineSpec {
	return v1alpha1.LifelineSpec{
		Selector:     fullSelector(),
		TopologyKeys: []string{"zone", "rack"},
		Profiles:     []v1alpha1.MemberProfile{{Name: "a", Profile: v1alpha1.ProfileSingleton}},
		Lag:          &v1alpha1.Lag{Threshold: metav1.Duration{Duration: 90 * time.Second}},
		Heal:         v1alpha1.Heal{Mode: v1alpha1.HealAuto, MaxEvictionsPerHour: 3},
	}
}

func fullLifelineStatus() v1alpha1.LifelineStatus {
	domain := v1alpha1.Domain{TopologyKey: "zone", Name: "a", Stops: []string{"Deployment/a"}, Interrupts: []string{"Deployment/b"}}
	return v1alpha1.LifelineStatus{
		ObservedGeneration: 3,
		Conditions:         fullConditions(),
		Survives:           new(true),
		Weakest:            &domain,
		Domains:            []v1alpha1.Domain{domain},
		Members: []v1alpha1.Member{{
			Kind: "Deployment", Name: "a", Profile: v1alpha1.ProfileStandby, Desired: 2, Ready: 1, Nodes: []string{"worker-1"},
			Leader: &v1alpha1.Leader{Pod: "a-1", Node: "worker-1", Lease: "a-leader"},
		}},
		Lagging: []v1alpha1.LaggingConsumer{{
			Kind: "Kustomization", Namespace: "flux-system", Name: "apps", Source: "GitRepository flux-system/apps",
			SourceRevision: "main@sha1:b", AttemptedRevision: "main@sha1:a", Since: moment(),
		}},
	}
}

func fullInterventionSpec() v1alpha1.InterventionSpec {
	return v1alpha1.InterventionSpec{
		Owner:  v1alpha1.OwnerReference{Kind: "Lifeline", Namespace: "flux-system", Name: "flux", UID: "6f2c"},
		Action: v1alpha1.ActionEvict,
		Target: v1alpha1.TargetReference{
			APIVersion: "v1", Kind: "Pod", Namespace: "flux-system", Name: "a-1", UID: "81aa",
			Node: "worker-1", Workload: "Deployment/a",
		},
		Attempt: 2, Holder: "mainstay-1", Reason: "all members are on worker-1", Evidence: "abc",
	}
}

func fullInterventionStatus() v1alpha1.InterventionStatus {
	return v1alpha1.InterventionStatus{
		Phase: v1alpha1.PhaseDone, Message: "evicted", CompletedAt: new(moment()), Verdict: v1alpha1.VerdictImproved, Evidence: "0123456789abcdef",
	}
}

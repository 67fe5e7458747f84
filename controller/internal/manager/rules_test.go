package manager_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// ruleStatus waits until a rule's status is as it should be.
func ruleStatus(t *testing.T, e *env, obj client.Object, is func(*v1alpha1.RuleStatus) bool) *v1alpha1.RuleStatus {
	t.Helper()
	var status *v1alpha1.RuleStatus
	eventually(t, 20*time.Second, func(ctx context.Context) (bool, string) {
		if err := e.client.Get(ctx, client.ObjectKeyFromObject(obj), obj); err != nil {
			return false, err.Error()
		}
		switch typed := obj.(type) {
		case *v1alpha1.ClusterRule:
			status = &typed.Status
		case *v1alpha1.Rule:
			status = &typed.Status
		}
		if status.ObservedGeneration != obj.GetGeneration() {
			return false, "an older generation is observed"
		}
		return is(status), fmt.Sprintf("%+v %+v %+v", status.Summary, status.Violations, status.Conditions)
	})
	return status
}

func counts(pass, fail, errs, skip int32) func(*v1alpha1.RuleStatus) bool {
	want := v1alpha1.RuleSummary{Pass: pass, Fail: fail, Error: errs, Skip: skip}
	return func(s *v1alpha1.RuleStatus) bool { return s.Summary != nil && *s.Summary == want }
}

func readyIs(status metav1.ConditionStatus, reason string) func(*v1alpha1.RuleStatus) bool {
	return func(s *v1alpha1.RuleStatus) bool {
		c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionReady)
		return c != nil && c.Status == status && c.Reason == reason
	}
}

func readyMessage(s *v1alpha1.RuleStatus) string {
	c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionReady)
	if c == nil {
		return ""
	}
	return c.Message
}

// inTest restricts a rule to the objects of one test: the cluster is shared.
func inTest(t *testing.T, name string) *builders.ClusterRuleBuilder {
	t.Helper()
	return builders.MakeClusterRule(name).NamespaceLabels("test", name)
}

func testNamespace(t *testing.T, name string) string {
	t.Helper()
	return shared.namespace(t, map[string]string{"test": name})
}

func TestFindingReachesStatusEventAndMetric(t *testing.T) {
	t.Parallel()
	ns := testNamespace(t, "finding")
	single := builders.MakeDeployment(ns, "single").Obj()
	shared.create(t, single, builders.MakeDeployment(ns, "double").Replicas(2).Obj())
	r := inTest(t, "finding").Match("apps", "v1", "deployments").Severity(v1alpha1.SeverityHigh).
		Validate("object.spec.replicas > 1", "one replica is not enough").Obj()
	shared.create(t, r)

	status := ruleStatus(t, shared, r, counts(1, 1, 0, 0))
	want := []v1alpha1.Violation{{
		APIVersion: "apps/v1", Kind: "Deployment", Namespace: ns, Name: "single",
		Outcome: v1alpha1.OutcomeFail, Reason: metav1.StatusReasonInvalid, Message: "one replica is not enough",
	}}
	if diff := cmp.Diff(want, status.Violations); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
	if !readyIs(metav1.ConditionTrue, v1alpha1.ReasonSucceeded)(status) || len(status.Conditions) != 1 {
		t.Errorf("a violation must leave the rule Ready and nothing else: %+v", status.Conditions)
	}
	eventually(t, 10*time.Second, func(ctx context.Context) (bool, string) {
		var events eventsv1.EventList
		if err := shared.client.List(ctx, &events, client.InNamespace(ns)); err != nil {
			return false, err.Error()
		}
		for i := range events.Items {
			e := &events.Items[i]
			if e.Reason == "Violation" && e.Regarding.Name == "single" && e.Regarding.UID == single.UID && e.Related != nil && e.Related.Name == "finding" &&
				e.Note == "ClusterRule finding (high): one replica is not enough" && e.Type == corev1.EventTypeWarning {
				return true, ""
			}
		}
		return false, fmt.Sprintf("%d events", len(events.Items))
	})
	if got := gauge(t, "mainstay_rule_findings", map[string]string{"name": "finding", "outcome": "fail", "severity": "high"}); got != 1 {
		t.Errorf("mainstay_rule_findings is %v, want 1", got)
	}

	start := time.Now()
	edit(t, shared, single, func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(3)) })
	status = ruleStatus(t, shared, r, counts(2, 0, 0, 0))
	t.Logf("a change became a finding in the status after %s", time.Since(start).Round(time.Millisecond))
	if len(status.Violations) != 0 {
		t.Errorf("violations after the object was mended: %+v", status.Violations)
	}
}

func TestReferencedObjectReevaluatesWhatSeesItAndNothingElse(t *testing.T) {
	t.Parallel()
	near, far := testNamespace(t, "reference"), testNamespace(t, "reference")
	shared.create(t, builders.MakeDeployment(near, "web").Obj(), builders.MakeDeployment(far, "web").Obj())
	r := inTest(t, "reference").Match("apps", "v1", "deployments").
		Refer("pdbs", "policy/v1", "PodDisruptionBudget", v1alpha1.NamespacesSame).
		Validate("refs.pdbs.exists(b, selectorMatches(b.spec.selector, object.spec.template.metadata.labels))", "no budget").Obj()
	shared.create(t, r)
	ruleStatus(t, shared, r, counts(0, 2, 0, 0))

	pdb := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: near, Name: "web"},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable: new(intstr.FromInt32(1)),
			Selector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: "app", Operator: metav1.LabelSelectorOpIn, Values: []string{"web", "api"}},
			}},
		},
	}
	shared.create(t, pdb)
	status := ruleStatus(t, shared, r, counts(1, 1, 0, 0))
	if len(status.Violations) != 1 || status.Violations[0].Namespace != far {
		t.Errorf("want the violation in %s only: %+v", far, status.Violations)
	}
	if err := shared.client.Delete(t.Context(), pdb); err != nil {
		t.Fatal(err)
	}
	ruleStatus(t, shared, r, counts(0, 2, 0, 0))
}

func TestBadRuleHurtsOnlyItself(t *testing.T) {
	t.Parallel()
	ns := testNamespace(t, "bad")
	shared.create(t, builders.MakeDeployment(ns, "web").Obj())
	bad := map[string]struct {
		rule    *builders.ClusterRuleBuilder
		message string
	}{
		"syntax error": {
			inTest(t, "bad-syntax").Validate("object.spec.replicas >", ""),
			"spec.validations[0].expression: Invalid value: \"object.spec.replicas >\": line 1, column 23:",
		},
		"type error": {
			inTest(t, "bad-type").Validate("object.metadata.name + 1 == ''  || 1 + 'a' == ''", ""),
			"spec.validations[0].expression: Invalid value",
		},
		"no bool": {
			inTest(t, "bad-bool").Validate("'yes'", ""),
			"must evaluate to bool",
		},
		"unknown reference": {
			inTest(t, "bad-reference").Refer("pods", "v1", "Pod", v1alpha1.NamespacesSame).Validate("true", "").Validate("refs.nodes.size() > 0", ""),
			"spec.validations[1].expression: Invalid value: \"refs.nodes.size() > 0\": line 1, column 5:",
		},
		"user info": {
			inTest(t, "bad-user").Validate("request.userInfo.username != ''", ""),
			"userInfo",
		},
	}
	good := inTest(t, "bad").Match("apps", "v1", "deployments").Validate("object.spec.replicas > 1", "").Obj()
	shared.create(t, good)
	for name, tc := range bad {
		t.Run(name, func(t *testing.T) {
			r := tc.rule.Match("apps", "v1", "deployments").Obj()
			shared.create(t, r)
			status := ruleStatus(t, shared, r, readyIs(metav1.ConditionFalse, v1alpha1.ReasonInvalidExpression))
			if message := readyMessage(status); !strings.Contains(message, tc.message) {
				t.Errorf("message %q, want it to contain %q", message, tc.message)
			}
			if !meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionStalled) {
				t.Errorf("not Stalled: %+v", status.Conditions)
			}
			if status.Summary != nil {
				t.Errorf("a rule that does not compile has findings: %+v", status.Summary)
			}
			// Mended, it works without any restart.
			edit(t, shared, r, func(r *v1alpha1.ClusterRule) {
				for i := range r.Spec.Validations {
					r.Spec.Validations[i].Expression = "true"
				}
			})
			status = ruleStatus(t, shared, r, readyIs(metav1.ConditionTrue, v1alpha1.ReasonSucceeded))
			if meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionStalled) != nil {
				t.Errorf("still Stalled: %+v", status.Conditions)
			}
		})
	}
	ruleStatus(t, shared, good, counts(0, 1, 0, 0))
}

func TestRunTimeErrorIsAnOutcomeOfItsOwn(t *testing.T) {
	t.Parallel()
	ns := testNamespace(t, "run-time")
	shared.create(t, builders.MakeDeployment(ns, "web").Obj())
	for name, tc := range map[string]struct{ expression, message string }{
		"no such key": {"object.spec.paused == false", "no such key: paused"},
		"cost limit": {
			"object.metadata.name.matches('w') && [1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d, [1,2,3,4,5,6,7,8,9,10].all(e, [1,2,3,4,5,6,7,8,9,10].all(f, a+b+c+d+e+f > 0))))))",
			"cost",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := inTest(t, "run-time").Match("apps", "v1", "deployments").Validate(tc.expression, "").Obj()
			r.Name = "run-time-" + strings.ReplaceAll(name, " ", "-")
			shared.create(t, r)
			status := ruleStatus(t, shared, r, counts(0, 0, 1, 0))
			if v := status.Violations[0]; v.Outcome != v1alpha1.OutcomeError || !strings.Contains(v.Message, tc.message) {
				t.Errorf("violation %+v, want an error with %q", v, tc.message)
			}
			if !readyIs(metav1.ConditionTrue, v1alpha1.ReasonSucceeded)(status) {
				t.Errorf("conditions %+v, want Ready", status.Conditions)
			}
		})
	}
}

func TestSlowRuleDelaysOnlyItself(t *testing.T) {
	t.Parallel()
	// Each validation is within its own cost limit, and all are within the
	// rule's: nothing is wrong with these rules but that they are slow.
	ten := "[1,2,3,4,5,6,7,8,9,10]"
	slow := fmt.Sprintf("%[1]s.all(a, %[1]s.all(b, %[1]s.all(c, %[1]s.all(d, a+b+c+d > 0))))", ten)
	for _, name := range []string{"slow-a", "slow-b"} {
		ns := shared.namespace(t, nil)
		for i := range 40 {
			shared.create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: fmt.Sprintf("sa-%d", i)}})
		}
		r := builders.MakeRule(ns, name).Match("", "v1", "serviceaccounts")
		for range 40 {
			r.Validate(slow, "")
		}
		shared.create(t, r.Obj())
	}
	ns := testNamespace(t, "quick")
	shared.create(t, builders.MakeDeployment(ns, "web").Obj())
	quick := inTest(t, "quick").Match("apps", "v1", "deployments").Validate("object.spec.replicas > 1", "").Obj()
	start := time.Now()
	shared.create(t, quick)
	ruleStatus(t, shared, quick, counts(0, 1, 0, 0))
	took := time.Since(start)
	t.Logf("found after %s beside two slow rules", took.Round(time.Millisecond))
}

func TestKindThatIsInstalledLaterAndDeletedAgain(t *testing.T) {
	t.Parallel()
	crd := `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.test.mainstay.dev}
spec:
  group: test.mainstay.dev
  names: {kind: Gadget, plural: gadgets, singular: gadget, listKind: GadgetList}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`
	ns := testNamespace(t, "later")
	matching := inTest(t, "later").Match("test.mainstay.dev", "v1", "gadgets").Validate("object.spec.size > 1", "too small").Obj()
	referring := inTest(t, "later-reference").NamespaceLabels("test", "later").Match("", "v1", "configmaps").ObjectLabels("test", "later").
		Refer("gadgets", "test.mainstay.dev/v1", "Gadget", v1alpha1.NamespacesSame).Validate("refs.gadgets.size() > 0", "no gadget").Obj()
	shared.create(t, matching, referring, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "a", Labels: map[string]string{"test": "later"}}})
	grantReading(t, "gadgets-and-configmaps", rbacv1.PolicyRule{
		APIGroups: []string{"", "test.mainstay.dev"}, Resources: []string{"configmaps", "gadgets"}, Verbs: []string{"get", "list", "watch"},
	})

	for _, r := range []*v1alpha1.ClusterRule{matching, referring} {
		status := ruleStatus(t, shared, r, readyIs(metav1.ConditionFalse, v1alpha1.ReasonKindNotFound))
		if meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionStalled) != nil {
			t.Errorf("%s is Stalled, though it starts by itself: %+v", r.Name, status.Conditions)
		}
	}

	gadget := func() *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "test.mainstay.dev/v1", "kind": "Gadget",
			"metadata": map[string]any{"namespace": ns, "name": "g"}, "spec": map[string]any{"size": int64(1)},
		}}
	}
	makeGadget := func() {
		eventually(t, 20*time.Second, func(ctx context.Context) (bool, string) {
			err := shared.client.Create(ctx, gadget())
			return err == nil, fmt.Sprint(err)
		})
	}
	shared.apply(t, crd)
	makeGadget()
	ruleStatus(t, shared, matching, counts(0, 1, 0, 0))
	ruleStatus(t, shared, referring, counts(1, 0, 0, 0))

	if _, err := shared.Kubectl(t.Context(), "delete", "crd", "gadgets.test.mainstay.dev"); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*v1alpha1.ClusterRule{matching, referring} {
		// The findings of a kind that is gone go too.
		ruleStatus(t, shared, r, func(s *v1alpha1.RuleStatus) bool {
			return readyIs(metav1.ConditionFalse, v1alpha1.ReasonKindNotFound)(s) && len(s.Violations) == 0
		})
	}

	shared.apply(t, crd)
	makeGadget()
	ruleStatus(t, shared, matching, counts(0, 1, 0, 0))
	ruleStatus(t, shared, referring, counts(1, 0, 0, 0))
}

// grantReading extends what Mainstay may read, as docs/kinds/clusterrule.md
// tells people to.
func grantReading(t *testing.T, name string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	shared.create(t, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"mainstay.dev/aggregate-to-reader": "true"}},
		Rules:      rules,
	})
}

func TestMissingRightIsNamedAndGrantedByAggregation(t *testing.T) {
	t.Parallel()
	ns := testNamespace(t, "rights")
	shared.create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "s"}})
	r := inTest(t, "rights").Match("", "v1", "secrets").Match("apps", "v1", "deployments").Validate("has(object.metadata.annotations)", "no annotation").Obj()
	shared.create(t, r, builders.MakeDeployment(ns, "web").Obj())

	status := ruleStatus(t, shared, r, readyIs(metav1.ConditionFalse, v1alpha1.ReasonForbidden))
	want := "may not list secrets: grant get, list and watch in a ClusterRole with the label mainstay.dev/aggregate-to-reader=true"
	if message := readyMessage(status); !strings.Contains(strings.ReplaceAll(message, "may not watch", "may not list"), want) {
		t.Errorf("message %q, want %q", message, want)
	}
	// What may be read is evaluated all the same.
	ruleStatus(t, shared, r, func(s *v1alpha1.RuleStatus) bool { return s.Summary != nil && s.Summary.Pass+s.Summary.Fail == 1 })

	grantReading(t, "secrets-reader", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "list", "watch"}})
	var after *v1alpha1.RuleStatus
	eventually(t, 90*time.Second, func(ctx context.Context) (bool, string) {
		got, err := get(ctx, shared, r)
		if err != nil {
			return false, err.Error()
		}
		after = &got.Status
		return readyIs(metav1.ConditionTrue, v1alpha1.ReasonSucceeded)(after) && after.Summary.Fail+after.Summary.Pass == 2, fmt.Sprintf("%+v", after)
	})
}

func TestNamespacedRuleStaysInItsNamespace(t *testing.T) {
	t.Parallel()
	mine, other := testNamespace(t, "confined"), testNamespace(t, "confined")
	shared.create(t, builders.MakeDeployment(mine, "web").Obj(), builders.MakeDeployment(other, "web").Obj(), builders.MakeDeployment(other, "api").Obj())
	r := builders.MakeRule(mine, "confined").Match("apps", "v1", "deployments").
		Refer("all", "apps/v1", "Deployment", v1alpha1.NamespacesSame).
		Validate("refs.all.size() > 1", "").MessageExpression("'sees ' + refs.all.map(d, d.metadata.namespace + '/' + d.metadata.name).join(',')").Obj()
	shared.create(t, r)
	status := ruleStatus(t, shared, r, counts(0, 1, 0, 0))
	if got, want := status.Violations[0].Message, "sees "+mine+"/web"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}

	nodes := builders.MakeRule(mine, "looks-out").Match("apps", "v1", "deployments").
		Refer("nodes", "v1", "Node", v1alpha1.NamespacesSame).Validate("refs.nodes.size() == 0", "").Obj()
	shared.create(t, nodes)
	status = ruleStatus(t, shared, nodes, readyIs(metav1.ConditionFalse, v1alpha1.ReasonInvalidSpec))
	if want := "refs.nodes refers to the cluster-scoped kind Node: a namespaced Rule refers to its own namespace only"; readyMessage(status) != want {
		t.Errorf("message %q, want %q", readyMessage(status), want)
	}
	if status.Summary != nil {
		t.Errorf("it was evaluated: %+v", status.Summary)
	}
}

func TestExceptionSkipsUntilItExpires(t *testing.T) {
	t.Parallel()
	ns := testNamespace(t, "exception")
	shared.create(t, builders.MakeDeployment(ns, "legacy").Obj(), builders.MakeDeployment(ns, "web").Obj())
	r := inTest(t, "exception").Match("apps", "v1", "deployments").Validate("object.spec.replicas > 1", "").
		Except(ns, "legacy", "is being retired").Until(time.Now().Add(4 * time.Second)).Obj()
	shared.create(t, r)
	ruleStatus(t, shared, r, counts(0, 1, 0, 1))
	ruleStatus(t, shared, r, counts(0, 2, 0, 0))
}

func TestStatusListsTheFirstTwenty(t *testing.T) {
	t.Parallel()
	ns := testNamespace(t, "twenty")
	for i := range 25 {
		shared.create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: fmt.Sprintf("sa-%02d", i)}})
	}
	r := inTest(t, "twenty").Match("", "v1", "serviceaccounts").Condition("ours", "object.metadata.name.startsWith('sa-')").Validate("false", "no").Obj()
	shared.create(t, r)
	status := ruleStatus(t, shared, r, counts(0, 25, 0, 0))
	if len(status.Violations) != v1alpha1.MaxViolations || status.Violations[0].Name != "sa-00" || status.Violations[19].Name != "sa-19" {
		t.Errorf("%d violations, want the first %d by name: %+v", len(status.Violations), v1alpha1.MaxViolations, status.Violations)
	}
}

func TestNamespaceLabelsDecideAgain(t *testing.T) {
	t.Parallel()
	ns := shared.namespace(t, nil)
	shared.create(t, builders.MakeDeployment(ns, "web").Obj())
	r := inTest(t, "relabelled").Match("apps", "v1", "deployments").Validate("namespaceObject.metadata.labels['test'] != 'relabelled'", "here").Obj()
	shared.create(t, r)
	ruleStatus(t, shared, r, counts(0, 0, 0, 0))
	edit(t, shared, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, func(n *corev1.Namespace) { n.Labels["test"] = "relabelled" })
	ruleStatus(t, shared, r, counts(0, 1, 0, 0))
	edit(t, shared, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, func(n *corev1.Namespace) { delete(n.Labels, "test") })
	ruleStatus(t, shared, r, counts(0, 0, 0, 0))
}

func TestSuspendedRuleReportsNothing(t *testing.T) {
	t.Parallel()
	ns := testNamespace(t, "suspended")
	shared.create(t, builders.MakeDeployment(ns, "web").Obj())
	r := inTest(t, "suspended").Match("apps", "v1", "deployments").Validate("false", "").Obj()
	shared.create(t, r)
	ruleStatus(t, shared, r, counts(0, 1, 0, 0))
	edit(t, shared, r, func(r *v1alpha1.ClusterRule) { r.Spec.Suspend = true })
	status := ruleStatus(t, shared, r, readyIs(metav1.ConditionTrue, v1alpha1.ReasonSuspended))
	if status.Summary != nil || len(status.Violations) != 0 {
		t.Errorf("a suspended rule reports %+v", status)
	}
}

func TestFieldOfAnotherManagerIsKeptAndReported(t *testing.T) {
	t.Parallel()
	ns := testNamespace(t, "conflict")
	d := builders.MakeDeployment(ns, "web").Obj()
	shared.create(t, d)
	r := inTest(t, "conflict").Match("apps", "v1", "deployments").Validate("object.spec.replicas > 1", "").Obj()
	shared.create(t, r)
	ruleStatus(t, shared, r, counts(0, 1, 0, 0))

	foreign := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "ClusterRule", "metadata": map[string]any{"name": r.Name},
		"status": map[string]any{"summary": map[string]any{"pass": int64(7), "fail": int64(7), "error": int64(7), "skip": int64(7)}},
	}}
	err := shared.client.Status().Apply(t.Context(), client.ApplyConfigurationFromUnstructured(foreign), client.FieldOwner("somebody-else"), client.ForceOwnership)
	if err != nil {
		t.Fatal(err)
	}
	edit(t, shared, d, func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(2)) })
	eventually(t, 20*time.Second, func(ctx context.Context) (bool, string) {
		var events eventsv1.EventList
		if err := shared.client.List(ctx, &events); err != nil {
			return false, err.Error()
		}
		for i := range events.Items {
			if e := &events.Items[i]; e.Reason == "ApplyConflict" && e.Regarding.Name == r.Name {
				return strings.Contains(e.Note, "somebody-else"), e.Note
			}
		}
		return false, "no event"
	})
	got, err := get(t.Context(), shared, r)
	if err != nil {
		t.Fatal(err)
	}
	if got.Status.Summary.Pass != 7 {
		t.Errorf("the other manager's field was overwritten: %+v", got.Status.Summary)
	}
}

// gauge reads a metric of the shared manager, whose labels include want.
func gauge(t *testing.T, name string, want map[string]string) float64 {
	t.Helper()
	families, err := sharedRegistry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			if labelled(m, want) {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	t.Errorf("no metric %s%v", name, want)
	return 0
}

func labelled(m *dto.Metric, want map[string]string) bool {
	have := map[string]string{}
	for _, pair := range m.GetLabel() {
		if _, asked := want[pair.GetName()]; asked {
			have[pair.GetName()] = pair.GetValue()
		}
	}
	return maps.Equal(have, want)
}

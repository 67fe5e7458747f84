package manager_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// grant gives a user rights, in a namespace or in all.
func (e *env) grant(t *testing.T, user, namespace string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	meta := metav1.ObjectMeta{Namespace: namespace, GenerateName: user + "-"}
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}}
	var objs []client.Object
	role := &rbacv1.Role{ObjectMeta: meta, Rules: rules}
	clusterRole := &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}
	if namespace != "" {
		objs = append(objs, role, &rbacv1.RoleBinding{ObjectMeta: meta, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role"}})
	} else {
		objs = append(objs, clusterRole, &rbacv1.ClusterRoleBinding{ObjectMeta: meta, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole"}})
	}
	for i, obj := range objs {
		switch binding := obj.(type) {
		case *rbacv1.RoleBinding:
			binding.RoleRef.Name = objs[i-1].GetName()
		case *rbacv1.ClusterRoleBinding:
			binding.RoleRef.Name = objs[i-1].GetName()
		}
		if err := e.client.Create(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.client.Delete(context.Background(), obj) })
	}
}

func mayList(group string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: []string{"list"}}
}

// Nobody has a rule read what he may not list, whose contents its messages could show.
func TestRulesReadWhatTheirAuthorsMayList(t *testing.T) {
	namespace := shared.namespace(t, nil)
	user := strings.ReplaceAll(namespace, "test-", "ann-")
	shared.grant(t, user, "", rbacv1.PolicyRule{
		APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"rules", "clusterrules"}, Verbs: []string{"create", "get", "patch", "update"},
	})
	shared.grant(t, user, namespace, mayList("apps", "deployments"), mayList("networking.k8s.io", "ingresses", "networkpolicies"),
		mayList("source.toolkit.fluxcd.io", "gitrepositories"), mayList("", "nodes"))
	ann := shared.as(t, user, "system:authenticated")

	ruleOf := func(group, resource string) *builders.RuleBuilder {
		return builders.MakeRule(namespace, "tried").Match(group, "v1", resource).Validate("true", "no")
	}
	const may = ""
	tests := map[string]struct {
		obj  client.Object
		want string
	}{
		"about what the author may list":            {ruleOf("apps", "deployments").Obj(), may},
		"about what the author may not":             {ruleOf("", "pods").Obj(), "may not list in namespace " + namespace + " what the rule reads, and its messages could show (group|resource): |pods"},
		"with such a subresource":                   {ruleOf("apps", "deployments").Match("apps", "v1", "replicasets/status").Obj(), "apps|replicasets"},
		"about all resources of a group":            {ruleOf("apps", "*").Obj(), "apps|*"},
		"about all groups":                          {ruleOf("*", "deployments").Obj(), "*|deployments"},
		"about requests alone":                      {ruleOf("", "pods").Modes(v1alpha1.ModeAdmission).Obj(), "): |pods"},
		"reads its namespace":                       {ruleOf("apps", "deployments").Variable("a", "string(namespaceObject)").Obj(), "): |namespaces"},
		"shows its namespace":                       {ruleOf("apps", "deployments").MessageExpression("string(namespaceObject.metadata.labels)").Obj(), "): |namespaces"},
		"refers to what the author may list":        {ruleOf("apps", "deployments").Refer("a", "networking.k8s.io/v1", "Ingress").Refer("b", "networking.k8s.io/v1", "NetworkPolicy").Refer("c", "source.toolkit.fluxcd.io/v1", "GitRepository").Obj(), may},
		"refers to what the author may not":         {ruleOf("apps", "deployments").Refer("a", "v1", "Pod").Obj(), "): |pods"},
		"about requests, refers to what he may not": {ruleOf("apps", "deployments").Modes(v1alpha1.ModeAdmission).Refer("a", "policy/v1", "PodDisruptionBudget").Obj(), "): policy|poddisruptionbudgets"},
		"in another namespace":                      {builders.MakeRule("default", "tried").Match("apps", "v1", "deployments").Validate("true", "no").Obj(), "may not list in namespace default"},
		"in all namespaces":                         {builders.MakeClusterRule("tried").Match("apps", "v1", "deployments").Validate("true", "no").Obj(), "may not list in all namespaces"},
		"of all the cluster":                        {builders.MakeClusterRule("tried").Match("", "v1", "nodes").Validate("true", "no").Obj(), "may not list in all namespaces"},
		"reads too much to be asked about":          {broad(ruleOf("apps", "deployments").Obj(), 17), "takes the right to list everything"},
		"reads far too much":                        {broad(ruleOf("apps", "deployments").Obj(), 60000), "denied request"},
	}
	shared.judgesBy(t, ann, tests["about what the author may not"].obj)
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		err := tries(ctx, ann, tests["refers to what the author may list"].obj)
		return err == nil, fmt.Sprint(err)
	})
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := tries(t.Context(), ann, tc.obj)
			if tc.want == may {
				if err != nil {
					t.Error(err)
				}
			} else if ok, seen := refused(err, tc.want); !ok {
				t.Errorf("%s, want … %s …", seen, tc.want)
			}
		})
	}

	// Of a rule that somebody else wrote what it reads and shows is guarded, and where.
	logs := ruleOf("", "pods").Modes(v1alpha1.ModeAdmission).Actions(admissionregistrationv1.Audit).Obj()
	logs.Name = "logs"
	rests := ruleOf("", "pods").Suspend().Obj()
	rests.Name = "rests"
	for _, r := range []*v1alpha1.Rule{logs, rests} {
		if err := shared.client.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	changes := map[string]struct {
		rule   *v1alpha1.Rule
		change func(*v1alpha1.RuleSpec)
		want   string
	}{
		"it is suspended, and has an exception": {logs, func(s *v1alpha1.RuleSpec) {
			s.Suspend, s.Exceptions = true, []v1alpha1.Exception{{Name: "web", Reason: "INC-4711"}}
		}, may},
		"it shows something else":          {logs, func(s *v1alpha1.RuleSpec) { s.Validations[0].MessageExpression = "string(object.spec)" }, "): |pods"},
		"it judges what exists":            {logs, func(s *v1alpha1.RuleSpec) { s.Modes = []v1alpha1.Mode{v1alpha1.ModeAudit} }, "): |pods"},
		"it tells those whom it judges":    {logs, func(s *v1alpha1.RuleSpec) { s.ValidationActions[0] = admissionregistrationv1.Warn }, "): |pods"},
		"it is suspended no more":          {rests, func(s *v1alpha1.RuleSpec) { s.Suspend = false }, "): |pods"},
		"it stays suspended, and is worse": {rests, func(s *v1alpha1.RuleSpec) { s.Severity = v1alpha1.SeverityCritical }, may},
	}
	for name, tc := range changes {
		t.Run(name, func(t *testing.T) {
			changed := tc.rule.DeepCopy()
			tc.change(&changed.Spec)
			err := ann.Patch(t.Context(), changed, client.MergeFrom(tc.rule), client.DryRunAll)
			if tc.want == may {
				if err != nil {
					t.Error(err)
				}
			} else if ok, seen := refused(err, tc.want); !ok {
				t.Errorf("%s, want … %s …", seen, tc.want)
			}
		})
	}
}

// broad has a rule be about n more resources.
func broad(r *v1alpha1.Rule, n int) *v1alpha1.Rule {
	of := &r.Spec.MatchConstraints.ResourceRules[0]
	for i := range n {
		of.Resources = append(of.Resources, fmt.Sprintf("r%d", i))
	}
	return r
}

// judgesBy waits until an object is refused: an API server judges by a policy some time
// after it was stored.
func (e *env) judgesBy(t *testing.T, as client.Client, obj client.Object) {
	t.Helper()
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		return refused(tries(ctx, as, obj), "may not")
	})
}

// Nobody has pods evicted by a Lifeline who may not evict them, or is shown the labels of
// nodes who may not list them.
func TestLifelinesEvictWhatTheirAuthorsMay(t *testing.T) {
	namespace := shared.namespace(t, nil)
	user := strings.ReplaceAll(namespace, "test-", "eve-")
	shared.grant(t, user, namespace, rbacv1.PolicyRule{
		APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"lifelines"}, Verbs: []string{"create", "get", "patch"},
	})
	eve := shared.as(t, user, "system:authenticated")
	line := func(mode v1alpha1.HealMode) *v1alpha1.Lifeline {
		return builders.MakeLifeline(namespace, "line").Select("app", "web").Heal(mode, 1).Obj()
	}
	shared.judgesBy(t, eve, line(v1alpha1.HealAuto))
	for _, mode := range []v1alpha1.HealMode{v1alpha1.HealOff, v1alpha1.HealDryRun} {
		if err := eve.Create(t.Context(), line(mode), client.DryRunAll); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
	const why = "it takes the right to create pods/eviction there"
	before := line(v1alpha1.HealDryRun)
	if err := shared.client.Create(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	switchOn := func() error {
		changed := before.DeepCopy()
		changed.Spec.Heal.Mode = v1alpha1.HealAuto
		return eve.Patch(t.Context(), changed, client.MergeFrom(before), client.DryRunAll)
	}
	if ok, seen := refused(switchOn(), why); !ok {
		t.Errorf("DryRun to Auto: %s", seen)
	}
	auto := builders.MakeLifeline(namespace, "auto").Select("app", "web").Heal(v1alpha1.HealAuto, 1).Obj()
	if err := shared.client.Create(t.Context(), auto); err != nil {
		t.Fatal(err)
	}
	steered := auto.DeepCopy()
	steered.Spec.TopologyKeys = []string{"zone"}
	if ok, seen := refused(eve.Patch(t.Context(), steered, client.MergeFrom(auto), client.DryRunAll), why); !ok {
		t.Errorf("other domains: %s", seen)
	}
	calmed := auto.DeepCopy()
	calmed.Spec.Heal.Mode = v1alpha1.HealOff
	if err := eve.Patch(t.Context(), calmed, client.MergeFrom(auto), client.DryRunAll); err != nil {
		t.Errorf("Auto to Off: %v", err)
	}
	shared.grant(t, user, namespace, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods/eviction"}, Verbs: []string{"create"}})
	eventually(t, takeUp, func(context.Context) (bool, string) {
		err := switchOn()
		return err == nil, fmt.Sprint(err)
	})

	licensed := builders.MakeLifeline(namespace, "licensed").Select("app", "web").TopologyKeys("vendor.example/license").Heal(v1alpha1.HealDryRun, 1).Obj()
	if ok, seen := refused(eve.Create(t.Context(), licensed, client.DryRunAll), "may not list nodes, whose labels the Lifeline would show: vendor.example/license"); !ok {
		t.Error(seen)
	}
	shared.grant(t, user, "", mayList("", "nodes"))
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		err := eve.Create(ctx, licensed.DeepCopy(), client.DryRunAll)
		return err == nil, fmt.Sprint(err)
	})
}

package policy_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// served is a little of what an API server serves.
func served() []rule.APIResource {
	one := func(group, version, resource string, namespaced, preferred bool) rule.APIResource {
		return rule.APIResource{
			GroupVersionResource: schema.GroupVersionResource{Group: group, Version: version, Resource: resource},
			Namespaced:           namespaced, Preferred: preferred,
		}
	}
	return []rule.APIResource{
		one("", "v1", "bindings", true, true),
		one("", "v1", "configmaps", true, true),
		one("", "v1", "namespaces", false, true),
		one("", "v1", "namespaces/finalize", false, true),
		one("", "v1", "nodes", false, true),
		one("", "v1", "persistentvolumes", false, true),
		one("", "v1", "pods", true, true),
		one("", "v1", "pods/binding", true, true),
		one("", "v1", "pods/eviction", true, true),
		one("", "v1", "pods/status", true, true),
		one("apps", "v1", "deployments", true, true),
		one("apps", "v1", "deployments/scale", true, true),
		one("apps", "v1", "deployments/status", true, true),
		one("authorization.k8s.io", "v1", "subjectaccessreviews", false, true),
		one("autoscaling", "v1", "horizontalpodautoscalers", true, false),
		one("autoscaling", "v2", "horizontalpodautoscalers", true, true),
		one("coordination.k8s.io", "v1", "leases", true, true),
		one("mainstay.dev", "v1alpha1", "clusterrules", false, true),
		one("rbac.authorization.k8s.io", "v1", "roles", true, true),
		one("storage.k8s.io", "v1", "csinodes", false, true),
		one("storage.k8s.io", "v1", "storageclasses", false, true),
	}
}

func webhookOptions() policy.WebhookOptions {
	return policy.WebhookOptions{
		Recovery: policy.Recovery{Namespaces: []string{"kube-system", "flux-system"}}, Served: served(),
		Client: func(path string) admissionregistrationv1.WebhookClientConfig {
			url := "https://mainstay.test" + path
			return admissionregistrationv1.WebhookClientConfig{URL: &url}
		},
	}
}

// counts is a rule that the API server cannot evaluate.
func counts(name string) *builders.ClusterRuleBuilder {
	return builders.MakeClusterRule(name).Modes(v1alpha1.ModeAdmission).Refer("budgets", "policy/v1", "PodDisruptionBudget").
		Validate("refs.budgets.size() > 0", "")
}

// asked is what the entries ask about: operations and what they are done to.
func asked(entries []admissionregistrationv1.ValidatingWebhook) []string {
	var out []string
	for _, entry := range entries {
		for _, r := range entry.Rules {
			for _, resource := range r.Resources {
				out = append(out, fmt.Sprint(strings.Join(r.APIGroups, "+"), "/", strings.Join(r.APIVersions, "+"), " ", resource, " ", r.Operations, " ", *r.Scope))
			}
		}
	}
	slices.Sort(out)
	return out
}

func TestWebhookEntriesAskWhatTheRulesDo(t *testing.T) {
	t.Parallel()
	const metadataName = "kubernetes.io/metadata.name"
	tests := map[string]struct {
		rule *v1alpha1.ClusterRule
		want []string
	}{
		"one resource": {
			rule: counts("a").Match("apps", "v1", "deployments").Obj(),
			want: []string{"apps/v1 deployments [CREATE UPDATE] Namespaced"},
		},
		"a subresource": {
			rule: counts("a").Match("apps", "*", "deployments/scale").Obj(),
			want: []string{"apps/v1 deployments/scale [CREATE UPDATE] Namespaced"},
		},
		"a resource and its subresources, without status": {
			rule: counts("a").Match("", "v1", "pods/*").Obj(),
			want: []string{"/v1 pods [CREATE UPDATE] Namespaced", "/v1 pods/eviction [CREATE UPDATE] Namespaced"},
		},
		"the preferred version": {
			rule: counts("a").Match("autoscaling", "*", "horizontalpodautoscalers").Obj(),
			want: []string{"autoscaling/v2 horizontalpodautoscalers [CREATE UPDATE] Namespaced"},
		},
		"the version that it names": {
			rule: counts("a").Match("autoscaling", "v1", "horizontalpodautoscalers").Obj(),
			want: []string{"autoscaling/v1 horizontalpodautoscalers [CREATE UPDATE] Namespaced"},
		},
		"everything, without the recovery path": {
			rule: counts("a").Match("*", "*", "*/*").Obj(),
			want: []string{
				"/v1 configmaps [CREATE UPDATE] Namespaced", "/v1 persistentvolumes [CREATE UPDATE] Cluster",
				"/v1 pods [CREATE UPDATE] Namespaced", "/v1 pods/eviction [CREATE UPDATE] Namespaced",
				"apps/v1 deployments [CREATE UPDATE] Namespaced", "apps/v1 deployments/scale [CREATE UPDATE] Namespaced",
				"autoscaling/v2 horizontalpodautoscalers [CREATE UPDATE] Namespaced",
				"storage.k8s.io/v1 storageclasses [CREATE UPDATE] Cluster",
			},
		},
		"in one namespace, and in none": {
			rule: counts("a").Match("*", "*", "*").NamespaceLabels(metadataName, "shop").Obj(),
			want: []string{
				"/v1 configmaps [CREATE UPDATE] Namespaced", "/v1 persistentvolumes [CREATE UPDATE] Cluster", "/v1 pods [CREATE UPDATE] Namespaced",
				"apps/v1 deployments [CREATE UPDATE] Namespaced", "autoscaling/v2 horizontalpodautoscalers [CREATE UPDATE] Namespaced",
				"storage.k8s.io/v1 storageclasses [CREATE UPDATE] Cluster",
			},
		},
		"in a recovery namespace, and in none": {
			rule: counts("a").Match("*", "*", "*").NamespaceLabels(metadataName, "kube-system").Obj(),
			want: []string{"/v1 persistentvolumes [CREATE UPDATE] Cluster", "storage.k8s.io/v1 storageclasses [CREATE UPDATE] Cluster"},
		},
		"in a recovery namespace":       {rule: counts("a").Match("apps", "v1", "deployments").NamespaceLabels(metadataName, "kube-system").Obj()},
		"nothing but the recovery path": {rule: counts("a").Match("", "v1", "nodes").Match("coordination.k8s.io", "v1", "leases").Obj()},
		"what is not served":            {rule: counts("a").Match("example.com", "v1", "widgets").Obj()},
		"no mode Admission":             {rule: counts("a").Match("", "v1", "pods").Modes(v1alpha1.ModeAudit).Obj()},
		"what the API server evaluates": {rule: clusterRule().Match("", "v1", "pods").Validate("true", "").Obj()},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := ofCluster(t, tc.rule)
			out := policy.CompileWebhooks([]*rule.Rule{r}, webhookOptions())
			if diff := cmp.Diff(tc.want, asked(out.Entries)); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			if got, want := out.Of[r.Key()] != "", len(tc.want) > 0; got != want {
				t.Errorf("the rule has an entry: %v, want %v", got, want)
			}
		})
	}
}

// TestRuleOfARecoveryNamespaceHasNoEntry has nobody say that a Rule is enforced where its entry
// would match nothing.
func TestRuleOfARecoveryNamespaceHasNoEntry(t *testing.T) {
	t.Parallel()
	for namespace, want := range map[string][]string{"flux-system": nil, "shop": {"/v1 pods [CREATE UPDATE] Namespaced"}} {
		r := ofNamespace(t, builders.MakeRule(namespace, "a").Modes(v1alpha1.ModeAdmission).Match("", "v1", "pods").
			Refer("pods", "v1", "Pod").Validate("refs.pods.size() < 9", "").Obj())
		out := policy.CompileWebhooks([]*rule.Rule{r}, webhookOptions())
		if diff := cmp.Diff(want, asked(out.Entries)); diff != "" || (out.Of[r.Key()] != "") != (want != nil) {
			t.Errorf("in %s it has the entry %q, asked (-want +got):\n%s", namespace, out.Of[r.Key()], diff)
		}
	}
}

// An entry is a place where a request may wait: what has to wait for one rule must
// not wait for another.
func TestWebhookEntriesAreShared(t *testing.T) {
	t.Parallel()
	pods := func(name string) *builders.ClusterRuleBuilder { return counts(name).Match("", "v1", "pods") }
	ignored := pods("b").FailurePolicy(admissionregistrationv1.Ignore).Obj()
	audited := pods("b").Actions(admissionregistrationv1.Warn, admissionregistrationv1.Audit).Obj()
	conditional := pods("b").Condition("big", "object.spec.replicas > 3").Obj()
	v1 := counts("a").Match("autoscaling", "v1", "horizontalpodautoscalers").Obj()
	v2 := counts("b").Match("autoscaling", "*", "horizontalpodautoscalers").Obj()
	tests := map[string]struct {
		a, b *v1alpha1.ClusterRule
		want int
	}{
		"alike":                     {pods("a").Obj(), counts("b").Match("apps", "v1", "deployments").Obj(), 1},
		"another failure policy":    {pods("a").Obj(), ignored, 2},
		"one that denies nothing":   {pods("a").Obj(), audited, 2},
		"two that nobody waits for": {ignored, pods("c").Actions(admissionregistrationv1.Warn).Obj(), 1},
		"other namespaces":          {pods("a").Obj(), pods("b").NamespaceLabels("team", "web").Obj(), 2},
		"other conditions":          {pods("a").Obj(), conditional, 2},
		"other versions":            {v1, v2, 2},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := policy.CompileWebhooks([]*rule.Rule{ofCluster(t, tc.a), ofCluster(t, tc.b)}, webhookOptions())
			if len(out.Entries) != tc.want {
				t.Errorf("%d entries, want %d", len(out.Entries), tc.want)
			}
			other := policy.CompileWebhooks([]*rule.Rule{ofCluster(t, tc.b), ofCluster(t, tc.a)}, webhookOptions())
			if diff := cmp.Diff(out, other); diff != "" {
				t.Errorf("the order of the rules matters:\n%s", diff)
			}
			for _, entry := range out.Entries {
				if mistakes := validation.IsDNS1123Subdomain(entry.Name); len(mistakes) > 0 || strings.Count(entry.Name, ".") < 2 {
					t.Errorf("%s is no name of a webhook: %v", entry.Name, mistakes)
				}
			}
		})
	}
}

// TestConfigurationHasRoomForEverybody has rules of one namespace that are more than the
// object may have leave out themselves, and nobody else.
func TestConfigurationHasRoomForEverybody(t *testing.T) {
	t.Parallel()
	tenant := func(namespace string, i int) *rule.Rule {
		return ofNamespace(t, builders.MakeRule(namespace, fmt.Sprintf("r%d", i)).Modes(v1alpha1.ModeAdmission).Match("", "v1", "pods").
			Condition(fmt.Sprintf("c%d", i), strings.Repeat(" ", 8000)+"true").Refer("pods", "v1", "Pod").Validate("refs.pods.size() == 0", "").Obj())
	}
	rules := []*rule.Rule{ofCluster(t, counts("of-the-cluster").Match("", "v1", "pods").Condition("z", strings.Repeat(" ", 8000)+"true").Obj()), tenant("zzz", 0)}
	for i := range 200 {
		rules = append(rules, tenant("greedy", i))
	}
	// One that is too large by itself is nobody else's matter, wherever it comes.
	large := builders.MakeRule("aaa", "large").Modes(v1alpha1.ModeAdmission).Match("", "v1", "pods").Refer("pods", "v1", "Pod").Validate("refs.pods.size() == 0", "").Obj()
	large.Spec.MatchConstraints.ObjectSelector = &metav1.LabelSelector{}
	for i := range 9000 {
		large.Spec.MatchConstraints.ObjectSelector.MatchExpressions = append(large.Spec.MatchConstraints.ObjectSelector.MatchExpressions,
			metav1.LabelSelectorRequirement{Key: fmt.Sprintf("key%d%s", i, strings.Repeat("a", 50)), Operator: metav1.LabelSelectorOpNotIn, Values: []string{strings.Repeat("a", 63)}})
	}
	tooLarge := ofNamespace(t, large)
	if refusal := policy.Check(tooLarge); refusal == nil || !strings.Contains(refusal.Message, "selectors may have") {
		t.Errorf("a rule with selectors of a megabyte: %+v", refusal)
	}
	rules = append(rules, tooLarge)
	out := policy.CompileWebhooks(rules, webhookOptions())
	for _, r := range rules[:3] {
		if out.Of[r.Key()] == "" || out.NoRoom.Has(r.Key()) {
			t.Errorf("there is no room for %s", r.Key())
		}
	}
	if len(out.NoRoom) == 0 || len(out.NoRoom)+len(out.Of) != len(rules) {
		t.Errorf("%d rules have entries and %d no room, of %d", len(out.Of), len(out.NoRoom), len(rules))
	}
	text, err := json.Marshal(out.Entries)
	if err != nil || len(text) > 1<<20+len(out.Entries)+2 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}

// TestWhatIsInForceKeepsItsRoom has what is new, of however many namespaces, open no gate that
// is shut.
func TestWhatIsInForceKeepsItsRoom(t *testing.T) {
	t.Parallel()
	of := func(team string, n int) []*rule.Rule {
		var out []*rule.Rule
		for i := range n {
			name := fmt.Sprintf("%s-%d", team, i)
			out = append(out, ofNamespace(t, builders.MakeRule(name, "r").Modes(v1alpha1.ModeAdmission).Match("", "v1", "pods").
				Condition(name, strings.Repeat(" ", 8000)+"true").Refer("pods", "v1", "Pod").Validate("refs.pods.size() == 0", "").Obj()))
		}
		return out
	}
	there, opts := of("there", 20), webhookOptions()
	opts.Live = sets.Set[string]{}
	for _, entry := range policy.CompileWebhooks(there, opts).Entries {
		opts.Live.Insert(entry.Name)
	}
	out := policy.CompileWebhooks(append(of("new", 200), there...), opts)
	for _, r := range there {
		if out.NoRoom.Has(r.Key()) {
			t.Errorf("%s has no room any more", r.Key())
		}
	}
	if len(out.NoRoom) == 0 {
		t.Error("there is room for all")
	}
}

// The exclusions are in the object: nobody has to be alive for them.
func TestWebhookEntrySparesTheRecoveryPath(t *testing.T) {
	t.Parallel()
	everything := counts("a").Match("*", "*", "*/*").Condition("mine", "true // always").Obj()
	out := policy.CompileWebhooks([]*rule.Rule{ofCluster(t, everything)}, webhookOptions())
	if len(out.Entries) != 1 {
		t.Fatalf("%d entries", len(out.Entries))
	}
	entry := out.Entries[0]
	want := map[string]string{"kubernetes.io/metadata.name": "NotIn [flux-system kube-system]", "mainstay.dev/bypass": "NotIn [true]"}
	got := map[string]string{}
	for _, requirement := range entry.NamespaceSelector.MatchExpressions {
		got[requirement.Key] = fmt.Sprint(requirement.Operator, " ", requirement.Values)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("namespaces (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(entry.MatchConditions[0].Expression, "request.userInfo.?username.orValue('') != 'system:apiserver' && (request.?namespace.orValue('') != '' || ") {
		t.Errorf("the API server is asked to wait: %v", entry.MatchConditions)
	}
	if *entry.FailurePolicy != admissionregistrationv1.Fail || *entry.TimeoutSeconds != 3 || *entry.SideEffects != admissionregistrationv1.SideEffectClassNone {
		t.Errorf("failure policy %s, timeout %d, side effects %s", *entry.FailurePolicy, *entry.TimeoutSeconds, *entry.SideEffects)
	}
	validate := policy.ValidateWebhook(webhookOptions())
	if *validate.FailurePolicy != admissionregistrationv1.Ignore {
		t.Error("rules cannot be applied while nobody answers")
	}
	if got := validate.MatchConditions[0].Expression; !strings.Contains(got, "system:serviceaccounts:flux-system") {
		t.Errorf("one bad rule in Git stops all of its Kustomization: %s", got)
	}
}

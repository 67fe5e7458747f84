package rule_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/builders"
)

func gvr(group, version, resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: group, Version: version, Resource: resource}
}

func TestMatchesResource(t *testing.T) {
	t.Parallel()
	match := func(group, version, resource string) *builders.ClusterRuleBuilder {
		return builders.MakeClusterRule("a").Match(group, version, resource).Validate("true", "")
	}
	apps, nodes := gvr("apps", "v1", "deployments"), gvr("", "v1", "nodes")
	tests := map[string]struct {
		rule    *builders.ClusterRuleBuilder
		gvr     schema.GroupVersionResource
		cluster bool
		want    bool
	}{
		"exact":                     {rule: match("apps", "v1", "deployments"), gvr: apps, want: true},
		"other group":               {rule: match("", "v1", "deployments"), gvr: apps},
		"other version":             {rule: match("apps", "v2", "deployments"), gvr: apps},
		"other resource":            {rule: match("apps", "v1", "daemonsets"), gvr: apps},
		"any of all":                {rule: match("*", "*", "*"), gvr: apps, want: true},
		"any with subresources":     {rule: match("*", "*", "*/*"), gvr: apps, want: true},
		"with its subresources":     {rule: match("apps", "v1", "deployments/*"), gvr: apps, want: true},
		"subresource beside it":     {rule: match("apps", "v1", "deployments/scale").Match("apps", "v1", "daemonsets"), gvr: apps},
		"second entry":              {rule: match("", "v1", "pods").Match("apps", "v1", "deployments"), gvr: apps, want: true},
		"delete only, beside it":    {rule: match("apps", "v1", "deployments").Operations(admissionregistrationv1.Delete).Match("", "v1", "pods"), gvr: apps},
		"update only":               {rule: match("apps", "v1", "deployments").Operations(admissionregistrationv1.Update), gvr: apps, want: true},
		"every operation":           {rule: match("apps", "v1", "deployments").Operations(admissionregistrationv1.OperationAll), gvr: apps, want: true},
		"cluster scope":             {rule: match("*", "*", "*").Scope(admissionregistrationv1.ClusterScope), gvr: nodes, cluster: true, want: true},
		"cluster scope, namespaced": {rule: match("*", "*", "*").Scope(admissionregistrationv1.ClusterScope), gvr: apps},
		"namespaced scope":          {rule: match("*", "*", "*").Scope(admissionregistrationv1.NamespacedScope), gvr: nodes, cluster: true},
		"any scope":                 {rule: match("*", "*", "*").Scope(admissionregistrationv1.AllScopes), gvr: nodes, cluster: true, want: true},
		"excluded":                  {rule: match("*", "*", "*").Exclude("apps", "*", "*"), gvr: apps},
		"excluded by name only":     {rule: match("*", "*", "*").Exclude("apps", "*", "*", "x"), gvr: apps, want: true},
		"another excluded":          {rule: match("*", "*", "*").Exclude("", "*", "*"), gvr: apps, want: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := compile(t, tc.rule).MatchesResource(tc.gvr, !tc.cluster); got != tc.want {
				t.Errorf("MatchesResource(%s) = %v", tc.gvr, got)
			}
		})
	}
}

func TestResources(t *testing.T) {
	t.Parallel()
	discovered := []rule.APIResource{
		{GroupVersionResource: gvr("autoscaling", "v1", "horizontalpodautoscalers"), Kind: "HorizontalPodAutoscaler", Namespaced: true},
		{GroupVersionResource: gvr("autoscaling", "v2", "horizontalpodautoscalers"), Kind: "HorizontalPodAutoscaler", Namespaced: true, Preferred: true},
		{GroupVersionResource: gvr("apps", "v1", "deployments"), Kind: "Deployment", Namespaced: true, Preferred: true},
		{GroupVersionResource: gvr("", "v1", "nodes"), Kind: "Node", Preferred: true},
	}
	tests := map[string]struct {
		rule *builders.ClusterRuleBuilder
		want []rule.APIResource
	}{
		"preferred of any version": {rule: builders.MakeClusterRule("a").Match("autoscaling", "*", "*"), want: discovered[1:2]},
		"what is matched":          {rule: builders.MakeClusterRule("a").Match("autoscaling", "v1", "*"), want: discovered[0:1]},
		"everything":               {rule: builders.MakeClusterRule("a").Match("*", "*", "*"), want: discovered[1:]},
		"nothing":                  {rule: builders.MakeClusterRule("a").Match("batch", "*", "*")},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, compile(t, tc.rule.Validate("true", "")).Resources(discovered)); diff != "" {
				t.Errorf("Resources: -want +got\n%s", diff)
			}
		})
	}
}

func TestMatchesObject(t *testing.T) {
	t.Parallel()
	apps, nodes, namespaces := gvr("apps", "v1", "deployments"), gvr("", "v1", "nodes"), gvr("", "v1", "namespaces")
	all := func() *builders.ClusterRuleBuilder {
		return builders.MakeClusterRule("a").Match("*", "*", "*").Validate("true", "")
	}
	named := func(names ...string) *builders.ClusterRuleBuilder {
		return builders.MakeClusterRule("a").MatchNamed("apps", "v1", "deployments", names...).Validate("true", "")
	}
	obj := builders.Unstructured(t, builders.MakeDeployment("flux-system", "x").Label("tier", "1").Obj())
	node := builders.Unstructured(t, builders.MakeNode("n").Obj())
	namespace := &unstructured.Unstructured{}
	namespace.SetName("flux-system")
	namespace.SetLabels(map[string]string{"team": "a"})
	tests := map[string]struct {
		rule   *builders.ClusterRuleBuilder
		gvr    schema.GroupVersionResource
		obj    *unstructured.Unstructured
		labels map[string]string
		want   bool
	}{
		"no selectors":                   {rule: all(), gvr: apps, obj: obj, want: true},
		"object labels":                  {rule: all().ObjectLabels("tier", "1"), gvr: apps, obj: obj, want: true},
		"other object labels":            {rule: all().ObjectLabels("tier", "2"), gvr: apps, obj: obj},
		"namespace labels":               {rule: all().NamespaceLabels("team", "a"), gvr: apps, obj: obj, labels: map[string]string{"team": "a"}, want: true},
		"other namespace labels":         {rule: all().NamespaceLabels("team", "a"), gvr: apps, obj: obj, labels: map[string]string{"team": "b"}},
		"namespace without labels":       {rule: all().NamespaceLabels("team", "a"), gvr: apps, obj: obj},
		"Namespace by its labels":        {rule: all().NamespaceLabels("team", "a"), gvr: namespaces, obj: namespace, want: true},
		"Namespace by other labels":      {rule: all().NamespaceLabels("team", "b"), gvr: namespaces, obj: namespace},
		"cluster-scoped is not excluded": {rule: all().NamespaceLabels("team", "a"), gvr: nodes, obj: node, want: true},
		"name":                           {rule: named("x", "y"), gvr: apps, obj: obj, want: true},
		"other name":                     {rule: named("y"), gvr: apps, obj: obj},
		"name beside any":                {rule: named("y").Match("apps", "v1", "*"), gvr: apps, obj: obj, want: true},
		"excluded by name":               {rule: all().Exclude("apps", "v1", "*", "x"), gvr: apps, obj: obj},
		"another excluded by name":       {rule: all().Exclude("apps", "v1", "*", "y"), gvr: apps, obj: obj, want: true},
		"name and another label":         {rule: named("x").ObjectLabels("tier", "2"), gvr: apps, obj: obj},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := compile(t, tc.rule).MatchesObject(tc.gvr, tc.obj, tc.labels); got != tc.want {
				t.Errorf("MatchesObject = %v", got)
			}
		})
	}
}

func TestRuleIsConfined(t *testing.T) {
	t.Parallel()
	obj := builders.MakeRule("flux-system", "a").Match("*", "*", "*").Validate("true", "").Except("", "excepted", "r").Obj()
	r, errs := rule.Compile(newCompiler(t), rule.Key{Kind: rule.KindRule, Namespace: obj.Namespace, Name: obj.Name}, 1, &obj.Spec)
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	apps := gvr("apps", "v1", "deployments")
	if !r.MatchesResource(apps, true) || r.MatchesResource(gvr("", "v1", "nodes"), false) {
		t.Error("a Rule matches namespaced resources only")
	}
	own := builders.Unstructured(t, builders.MakeDeployment("flux-system", "excepted").Obj())
	other := builders.Unstructured(t, builders.MakeDeployment("other", "x").Obj())
	if !r.MatchesObject(apps, own, nil) || r.MatchesObject(apps, other, nil) {
		t.Error("a Rule matches its own namespace only")
	}
	if got := r.Evaluate(t.Context(), rule.Input{Object: own, Resource: apps}); got.Outcome != "skip" {
		t.Errorf("an exception without a namespace is one of the Rule's own: %+v", got)
	}
}

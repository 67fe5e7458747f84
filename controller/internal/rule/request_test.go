package rule_test

import (
	"context"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// labelled is an object with one label, or none.
func labelled(name, key, value string) map[string]any {
	metadata := map[string]any{"name": name}
	if key != "" {
		metadata["labels"] = map[string]any{key: value}
	}
	return map[string]any{"metadata": metadata}
}

func TestMatchesRequest(t *testing.T) {
	t.Parallel()
	const (
		create  = admissionregistrationv1.Create
		update  = admissionregistrationv1.Update
		del     = admissionregistrationv1.Delete
		connect = admissionregistrationv1.Connect
	)
	match := func(group, version, resource string) *builders.ClusterRuleBuilder {
		return builders.MakeClusterRule("a").Modes(v1alpha1.ModeAdmission).Match(group, version, resource).Validate("true", "")
	}
	everything := func() *builders.ClusterRuleBuilder {
		return match("*", "*", "*/*").Operations(admissionregistrationv1.OperationAll)
	}
	request := func(operation admissionregistrationv1.OperationType, group, resource, sub string) *rule.Request {
		return &rule.Request{Operation: operation, Resource: gvr(group, "v1", resource), Subresource: sub, Namespace: "shop", Name: "web", Object: labelled("web", "", "")}
	}
	with := func(q *rule.Request, change func(*rule.Request)) *rule.Request {
		change(q)
		return q
	}
	deployment := request(create, "apps", "deployments", "")
	cluster := func(operation admissionregistrationv1.OperationType, resource string) *rule.Request {
		return with(request(operation, "", resource, ""), func(q *rule.Request) { q.Namespace = "" })
	}
	namespace := func(operation admissionregistrationv1.OperationType, value string) *rule.Request {
		return with(request(operation, "", "namespaces", ""), func(q *rule.Request) {
			q.Namespace, q.Name = "web", "web"
			if operation == del {
				q.Object, q.OldObject = nil, labelled("web", "team", value)
			} else {
				q.Object = labelled("web", "team", value)
			}
		})
	}
	tests := map[string]struct {
		rule      *builders.ClusterRuleBuilder
		request   *rule.Request
		namespace map[string]string
		want      bool
	}{
		"the resource":                 {rule: match("apps", "v1", "deployments"), request: deployment, want: true},
		"another group":                {rule: match("", "v1", "deployments"), request: deployment},
		"another version":              {rule: match("apps", "v2", "deployments"), request: deployment},
		"another operation":            {rule: match("apps", "v1", "deployments"), request: request(del, "apps", "deployments", "")},
		"one of the operations":        {rule: match("apps", "v1", "deployments").Operations(del, connect), request: request(del, "apps", "deployments", ""), want: true},
		"every operation":              {rule: everything(), request: request(connect, "", "pods", "exec"), want: true},
		"subresource of a plain entry": {rule: match("apps", "v1", "deployments"), request: request(update, "apps", "deployments", "scale")},
		"the subresource":              {rule: match("apps", "v1", "deployments/scale"), request: request(update, "apps", "deployments", "scale"), want: true},
		"no subresource of that":       {rule: match("apps", "v1", "deployments/scale"), request: request(update, "apps", "deployments", "")},
		"another subresource":          {rule: match("apps", "v1", "deployments/scale"), request: request(update, "apps", "deployments", "status")},
		"all of a resource, itself":    {rule: match("", "v1", "pods/*"), request: request(create, "", "pods", ""), want: true},
		"all of a resource, under it":  {rule: match("", "v1", "pods/*"), request: request(create, "", "pods", "eviction"), want: true},
		"scale of all":                 {rule: match("*", "*", "*/scale"), request: request(update, "apps", "deployments", "scale"), want: true},
		"scale of all, itself":         {rule: match("*", "*", "*/scale"), request: request(update, "apps", "deployments", "")},
		"any resource, no subresource": {rule: match("*", "*", "*"), request: request(update, "apps", "deployments", "scale")},
		"by name":                      {rule: match("x", "v1", "y").MatchNamed("apps", "v1", "deployments", "web"), request: deployment, want: true},
		"by another name":              {rule: match("x", "v1", "y").MatchNamed("apps", "v1", "deployments", "db"), request: deployment},
		"a name that is yet to be made": {
			rule:    match("x", "v1", "y").MatchNamed("apps", "v1", "deployments", "web"),
			request: with(request(create, "apps", "deployments", ""), func(q *rule.Request) { q.Name = "" }),
		},
		"excluded":                    {rule: everything().Exclude("apps", "*", "deployments"), request: deployment},
		"excluded by name":            {rule: everything().Exclude("apps", "*", "deployments", "web"), request: deployment},
		"another name excluded":       {rule: everything().Exclude("apps", "*", "deployments", "db"), request: deployment, want: true},
		"excluded, not its scale":     {rule: everything().Exclude("apps", "*", "deployments"), request: request(update, "apps", "deployments", "scale"), want: true},
		"excluded with its scale":     {rule: everything().Exclude("apps", "*", "deployments/*"), request: request(update, "apps", "deployments", "scale")},
		"another operation excluded":  {rule: everything().Exclude("apps", "*", "deployments"), request: request(del, "apps", "deployments", ""), want: true},
		"cluster scope, a node":       {rule: everything().Scope(admissionregistrationv1.ClusterScope), request: cluster(update, "nodes"), want: true},
		"cluster scope, a pod":        {rule: everything().Scope(admissionregistrationv1.ClusterScope), request: request(update, "", "pods", "")},
		"cluster scope, a namespace":  {rule: everything().Scope(admissionregistrationv1.ClusterScope), request: namespace(update, "a"), want: true},
		"in namespaces, a namespace":  {rule: everything().Scope(admissionregistrationv1.NamespacedScope), request: namespace(update, "a")},
		"in namespaces, a pod":        {rule: everything().Scope(admissionregistrationv1.NamespacedScope), request: request(update, "", "pods", ""), want: true},
		"selected namespace":          {rule: everything().NamespaceLabels("team", "a"), request: deployment, namespace: map[string]string{"team": "a"}, want: true},
		"another namespace":           {rule: everything().NamespaceLabels("team", "a"), request: deployment, namespace: map[string]string{"team": "b"}},
		"selected by who asks":        {rule: everything().NamespaceLabels("team", "a"), request: with(request(create, "", "pods", ""), func(q *rule.Request) { q.Selected = true }), want: true},
		"in no namespace":             {rule: everything().NamespaceLabels("team", "a"), request: cluster(update, "nodes"), want: true},
		"namespace that is made":      {rule: everything().NamespaceLabels("team", "a"), request: namespace(create, "a"), want: true},
		"another that is made":        {rule: everything().NamespaceLabels("team", "a"), request: namespace(create, "b"), namespace: map[string]string{"team": "a"}},
		"namespace that goes":         {rule: everything().NamespaceLabels("team", "a"), request: namespace(del, "b"), namespace: map[string]string{"team": "a"}, want: true},
		"selected object":             {rule: everything().ObjectLabels("app", "web"), request: with(request(create, "", "pods", ""), func(q *rule.Request) { q.Object = labelled("web", "app", "web") }), want: true},
		"another object":              {rule: everything().ObjectLabels("app", "web"), request: deployment},
		"the old object was selected": {rule: everything().ObjectLabels("app", "web"), request: with(request(update, "", "pods", ""), func(q *rule.Request) { q.OldObject = labelled("web", "app", "web") }), want: true},
		"object that goes":            {rule: everything().ObjectLabels("app", "web"), request: with(request(del, "", "pods", ""), func(q *rule.Request) { q.Object, q.OldObject = nil, labelled("web", "app", "web") }), want: true},
		"no object":                   {rule: everything().ObjectLabels("app", "web"), request: with(request(connect, "", "pods", "exec"), func(q *rule.Request) { q.Object = nil })},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := compile(t, tc.rule).MatchesRequest(tc.request, tc.namespace); got != tc.want {
				t.Errorf("MatchesRequest = %v", got)
			}
		})
	}
}

// TestRuleMatchesItsOwnNamespace has a Rule not reach beyond it.
func TestRuleMatchesItsOwnNamespace(t *testing.T) {
	t.Parallel()
	obj := builders.MakeRule("shop", "a").Modes(v1alpha1.ModeAdmission).Match("*", "*", "*/*").Operations(admissionregistrationv1.OperationAll).Validate("true", "").Obj()
	r, errs := rule.Compile(newCompiler(t), rule.Key{Kind: rule.KindRule, Namespace: "shop", Name: "a"}, 1, &obj.Spec)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for name, tc := range map[string]struct {
		resource, namespace string
		want                bool
	}{
		"its own":              {resource: "pods", namespace: "shop", want: true},
		"another":              {resource: "pods", namespace: "other"},
		"none":                 {resource: "nodes"},
		"the namespace itself": {resource: "namespaces", namespace: "shop"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := &rule.Request{Operation: admissionregistrationv1.Update, Resource: gvr("", "v1", tc.resource), Namespace: tc.namespace, Name: "shop"}
			if got := r.MatchesRequest(q, nil); got != tc.want {
				t.Errorf("MatchesRequest = %v", got)
			}
		})
	}
}

func TestEvaluateRequest(t *testing.T) {
	t.Parallel()
	admission := func() *builders.ClusterRuleBuilder { return clusterRule().Modes(v1alpha1.ModeAdmission) }
	update := func() *rule.Request {
		return &rule.Request{
			Operation: admissionregistrationv1.Update, Resource: deployments(), Namespace: "shop", Name: "web",
			Object:    map[string]any{"metadata": map[string]any{"name": "web"}, "spec": map[string]any{"replicas": int64(1)}},
			OldObject: map[string]any{"metadata": map[string]any{"name": "web"}, "spec": map[string]any{"replicas": int64(3)}},
			Content:   map[string]any{"operation": "UPDATE", "name": "web", "namespace": "shop", "userInfo": map[string]any{"username": "jane"}},
		}
	}
	removed := func() *rule.Request {
		q := update()
		q.Operation, q.Object, q.Name = admissionregistrationv1.Delete, nil, ""
		q.Content = map[string]any{"operation": "DELETE", "namespace": "shop"}
		return q
	}
	tests := map[string]struct {
		rule    *builders.ClusterRuleBuilder
		request *rule.Request
		want    rule.Finding
	}{
		"holds": {
			rule: admission().Validate("request.userInfo.username == 'jane' && oldObject.spec.replicas == 3", ""), request: update(),
			want: rule.Finding{Matched: true, Outcome: v1alpha1.OutcomePass, Validation: -1},
		},
		"does not hold": {
			rule: admission().Validate("object.spec.replicas >= oldObject.spec.replicas", "fewer").Reason(metav1.StatusReasonForbidden), request: update(),
			want: rule.Finding{Matched: true, Outcome: v1alpha1.OutcomeFail, Message: "fewer", Reason: metav1.StatusReasonForbidden},
		},
		"no object": {
			rule: admission().Validate("object == null && request.operation == 'DELETE' && oldObject.spec.replicas < 3", "kept"), request: removed(),
			want: rule.Finding{Matched: true, Outcome: v1alpha1.OutcomeFail, Message: "kept", Reason: metav1.StatusReasonInvalid},
		},
		"not about it": {
			rule: admission().Condition("people", "request.userInfo.username != 'jane'").Validate("false", ""), request: update(),
			want: rule.Finding{Validation: -1},
		},
		"an exception": {
			rule: admission().Validate("false", "").Except("shop", "web", "known"), request: update(),
			want: rule.Finding{Matched: true, Outcome: v1alpha1.OutcomeSkip, Message: "known", Validation: -1},
		},
		"an exception outweighs a condition that fails": {
			rule: admission().Condition("fails", "object.spec.none == 1").Validate("false", "").Except("shop", "web", "known"), request: update(),
			want: rule.Finding{Matched: true, Outcome: v1alpha1.OutcomeSkip, Message: "known", Validation: -1},
		},
		"an exception in a deleted collection": {
			rule: admission().Validate("false", "").Except("shop", "web", "known"), request: removed(),
			want: rule.Finding{Matched: true, Outcome: v1alpha1.OutcomeSkip, Message: "known", Validation: -1},
		},
		"an exception that lapsed": {
			rule: admission().Validate("false", "no").Except("shop", "web", "known").Until(at(1)), request: update(),
			want: rule.Finding{Matched: true, Outcome: v1alpha1.OutcomeFail, Message: "no", Reason: metav1.StatusReasonInvalid},
		},
		"fails": {
			rule: admission().Validate("object.spec.none == 1", ""), request: update(),
			want: rule.Finding{Matched: true, Outcome: v1alpha1.OutcomeError, Message: "spec.validations[0].expression: no such key: none"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := compile(t, tc.rule).EvaluateRequest(t.Context(), rule.RequestInput{Request: tc.request, Now: at(2)})
			if got.Err = nil; got != tc.want {
				t.Errorf("finding %+v, want %+v", got, tc.want)
			}
		})
	}
	t.Run("the context ended", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		got := compile(t, admission().Validate("true", "")).EvaluateRequest(ctx, rule.RequestInput{Request: update(), Now: at(2)})
		if got.Outcome != v1alpha1.OutcomeError {
			t.Errorf("finding %+v", got)
		}
	})
}

// TestMessageOfARule has the message of a Rule that judges requests not show
// what its author may not read.
func TestMessageOfARule(t *testing.T) {
	t.Parallel()
	const message = "refs.pods.map(p, string(p.metadata.name)).join(',')"
	spec := func(modes ...v1alpha1.Mode) *v1alpha1.RuleSpec {
		obj := builders.MakeRule("shop", "a").Modes(modes...).Match("", "v1", "configmaps").Refer("pods", "v1", "Pod").Validate("false", "").MessageExpression(message).Obj()
		return &obj.Spec
	}
	of := rule.Key{Kind: rule.KindRule, Namespace: "shop", Name: "a"}
	if _, errs := rule.Compile(newCompiler(t), of, 1, spec(v1alpha1.ModeAudit)); len(errs) > 0 {
		t.Error(errs)
	}
	if _, errs := rule.Compile(newCompiler(t), rule.Key{Kind: rule.KindClusterRule, Name: "a"}, 1, spec(v1alpha1.ModeAdmission)); len(errs) > 0 {
		t.Error(errs)
	}
	_, errs := rule.Compile(newCompiler(t), of, 1, spec(v1alpha1.ModeAdmission, v1alpha1.ModeAudit))
	if len(errs) != 1 || errs[0].Field != "spec.validations[0].messageExpression" {
		t.Errorf("mistakes %v", errs)
	}
}

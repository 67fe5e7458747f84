package webhook

import (
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// TestOverlay has rules see what they are about to admit.
func TestOverlay(t *testing.T) {
	t.Parallel()
	names := func(b *builders.ClusterRuleBuilder) *v1alpha1.ClusterRule {
		r := b.Obj()
		r.Spec.MatchConstraints.ResourceRules[0].Operations = []admissionregistrationv1.OperationType{admissionregistrationv1.OperationAll}
		return r
	}
	all := func(expression string, refer ...string) *v1alpha1.ClusterRule {
		b := builders.MakeClusterRule("r").Modes(v1alpha1.ModeAdmission).Match("*", "*", "*/*").Validate("false", "").MessageExpression(expression)
		b = b.Refer("pods", "v1", "Pod", refer...).ReferLabels("app", "web").Refer("deployments", "apps/v1", "Deployment")
		return names(b)
	}
	const (
		pods     = "refs.pods.map(p, p.metadata.namespace + '/' + p.metadata.name + p.metadata.?labels.?tier.orValue('')).join(',')"
		nodes    = "refs.pods.map(p, p.metadata.name + '@' + p.spec.?nodeName.orValue('')).join(',')"
		replicas = "refs.deployments.map(d, d.metadata.name + '=' + string(d.spec.replicas)).join(',')"
		scaled   = "{operation: UPDATE, subResource: scale, name: api, resource: {group: apps, version: v1, resource: deployments}, object: {apiVersion: autoscaling/v1, kind: Scale, metadata: {name: api, namespace: shop}, spec: {replicas: 7}}}"
		toZero   = "{operation: UPDATE, subResource: scale, name: api, resource: {group: apps, version: v1, resource: deployments}, object: {apiVersion: autoscaling/v1, kind: Scale, metadata: {name: api, namespace: shop}, spec: {}}}"
	)
	tests := map[string]struct {
		rule    *v1alpha1.ClusterRule
		request string
		want    string
	}{
		"created":                   {all(pods), "{name: web-2, object: {metadata: {name: web-2, namespace: shop, labels: {app: web}}}}", "shop/web-1,shop/web-2,shop/web-3"},
		"created first":             {all(pods), "{name: web-0, object: {metadata: {name: web-0, namespace: shop, labels: {app: web}}}}", "shop/web-0,shop/web-1,shop/web-3"},
		"created without a name":    {all(pods), "{name: '', object: {metadata: {generateName: web-, namespace: shop, name: '', labels: {app: web}}}}", "shop/,shop/web-1,shop/web-3"},
		"created, not selected":     {all(pods), "{name: db-2, object: {metadata: {name: db-2, namespace: shop, labels: {app: db}}}}", "shop/web-1,shop/web-3"},
		"changed":                   {all(pods), "{operation: UPDATE, object: {metadata: {name: web-1, namespace: shop, labels: {app: web, tier: '!'}}}}", "shop/web-1!,shop/web-3"},
		"changed, not selected now": {all(pods), "{operation: UPDATE, object: {metadata: {name: web-1, namespace: shop, labels: {app: db}}}}", "shop/web-3"},
		"changed, selected now":     {all(pods), "{operation: UPDATE, name: db-1, object: {metadata: {name: db-1, namespace: shop, labels: {app: web}}}}", "shop/db-1,shop/web-1,shop/web-3"},
		"deleted":                   {all(pods), "{operation: DELETE, oldObject: {metadata: {name: web-1, namespace: shop}}}", "shop/web-3"},
		"deleted by collection":     {all(pods), "{operation: DELETE, name: '', oldObject: {metadata: {name: web-3, namespace: shop}}}", "shop/web-1"},
		"deleted, not there":        {all(pods), "{operation: DELETE, name: web-9, oldObject: {metadata: {name: web-9}}}", "shop/web-1,shop/web-3"},
		"evicted":                   {all(pods), "{subResource: eviction, name: web-3, object: {apiVersion: policy/v1, kind: Eviction, metadata: {name: web-3}}}", "shop/web-1"},
		"bound":                     {all(nodes), "{subResource: binding, name: web-3, object: {apiVersion: v1, kind: Binding, metadata: {name: web-3}, target: {name: n1}}}", "web-1@,web-3@n1"},
		"another subresource":       {all(pods), "{operation: UPDATE, subResource: ephemeralcontainers, object: {metadata: {name: web-1, labels: {app: db}}}}", "shop/web-1,shop/web-3"},
		"connected":                 {all(pods), "{operation: CONNECT, subResource: exec, object: {kind: PodExecOptions}}", "shop/web-1,shop/web-3"},
		"scaled":                    {all(replicas), scaled, "api=7,web=1"},
		"scaled to zero":            {all(replicas), toZero, "api=0,web=1"},
		"another kind":              {all(pods), scaled, "shop/web-1,shop/web-3"},
		"another namespace":         {all(pods), "{namespace: other, name: web-2, object: {metadata: {name: web-2, namespace: other, labels: {app: web}}}}", "other/web-2,other/web-5"},
		"all namespaces":            {all(pods, "All"), "{name: web-2, object: {metadata: {name: web-2, namespace: shop, labels: {app: web}}}}", "other/web-5,shop/web-1,shop/web-2,shop/web-3"},
		"named namespaces":          {all(pods, "other", "none"), "{namespace: other, name: web-2, object: {metadata: {name: web-2, namespace: other, labels: {app: web}}}}", "other/web-2,other/web-5"},
		"beside the named ones":     {all(pods, "other"), "{name: web-2, object: {metadata: {name: web-2, namespace: shop, labels: {app: web}}}}", "other/web-5"},
		"in no namespace":           {all(pods), "{namespace: '', name: n1, resource: {group: '', version: v1, resource: nodes}, object: {metadata: {name: n1}}}", "failed expression: false"},
		"a Namespace":               {all(pods), "{namespace: shop, name: shop, operation: UPDATE, resource: {group: '', version: v1, resource: namespaces}, object: {metadata: {name: shop}}}", "failed expression: false"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := newFakeObjects()
			for _, p := range []struct{ namespace, name, app string }{{"shop", "web-3", "web"}, {"shop", "web-1", "web"}, {"shop", "db-1", "db"}, {"other", "web-5", "web"}} {
				objects.set(podsGVR, p.namespace, p.name, pod(p.namespace, p.name, p.app))
			}
			for name, n := range map[string]int32{"web": 1, "api": 2} {
				objects.set(deploymentsGVR, "shop", name, builders.Unstructured(t, builders.MakeDeployment("shop", name).Replicas(n).Obj()))
			}
			f := start(t, objects, tc.rule)
			if got, want := f.says(t, tc.rule, tc.request), "422 Invalid: ClusterRule r: "+tc.want+" (kubectl describe clusterrule r)"; got != want {
				t.Errorf("the list that is seen:\n%s, want\n%s", got, want)
			}
			// What is cached is as it was.
			if got := objects.Get(podsGVR, "shop", "web-3").Object["spec"].(map[string]any); len(got) > 0 {
				t.Errorf("the cached pod was changed: %v", got)
			}
		})
	}
}

func TestOverlayOfAnotherVersion(t *testing.T) {
	t.Parallel()
	r := builders.MakeClusterRule("r").Modes(v1alpha1.ModeAdmission).Match("apps", "v1beta2", "deployments").
		Refer("deployments", "apps/v1", "Deployment").Validate("refs.deployments.size() == 0", "").Obj()
	f := start(t, newFakeObjects(), r)
	got := f.says(t, r, "{name: web, resource: {group: apps, version: v1beta2, resource: deployments}, object: {metadata: {name: web}}}")
	want := "422 Invalid: ClusterRule r: the rule could not be evaluated: spec.validations[0].expression: listing refs.deployments: " +
		"the reference is to version v1 and the request of version v1beta2: name one apiVersion in both, the reference and spec.matchConstraints (kubectl describe clusterrule r)"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

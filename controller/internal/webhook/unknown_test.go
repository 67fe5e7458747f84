package webhook

import (
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// saysOfUnknown is the answer in short about a group that no rule is in.
func (f *fixture) saysOfUnknown(t *testing.T, request string) string {
	t.Helper()
	// A rule that nobody set, in a group of its own.
	return f.says(t, few("unknown", 0).ObjectLabels("nobody", "has").Obj(), request)
}

// TestGroupThatIsNotKnown has a request be judged by all rules, and by their selectors, where
// its entry is one of another version of the program, or of a generation that was not seen.
func TestGroupThatIsNotKnown(t *testing.T) {
	t.Parallel()
	const denied = "422 Invalid: ClusterRule a: too many (kubectl describe clusterrule a)"
	unserved := podRule("a").Refer("x", "example.com/v1", "X").Validate("refs.x.size() == 0", "")
	for name, tc := range map[string]struct {
		rule    *v1alpha1.ClusterRule
		request string
		want    string
	}{
		"denied":                       {rule: few("a", 0).Obj(), want: denied},
		"holds":                        {rule: few("a", 9).Obj(), want: "allowed"},
		"of another resource":          {rule: few("a", 0).Obj(), request: "{resource: {group: apps, version: v1, resource: deployments}, object: {}}", want: "allowed"},
		"its namespace is selected":    {rule: few("a", 0).NamespaceLabels("team", "a").Obj(), want: denied},
		"its namespace is not":         {rule: few("a", 0).NamespaceLabels("team", "b").Obj(), want: "allowed"},
		"its namespace is not read":    {rule: few("a", 0).NamespaceLabels("team", "a").Obj(), request: "{namespace: other, object: {}}", want: "500 InternalError: ClusterRule a: the rule could not be evaluated: the Namespace other is not known yet (kubectl describe clusterrule a)"},
		"it is selected":               {rule: few("a", 0).ObjectLabels("app", "web").Obj(), want: denied},
		"it is not":                    {rule: few("a", 0).ObjectLabels("app", "db").Obj(), want: "allowed"},
		"a match condition is true":    {rule: few("a", 0).Condition("jane", "request.userInfo.username == 'jane'").Obj(), want: denied},
		"a match condition is not":     {rule: few("a", 0).Condition("tom", "request.userInfo.username == 'tom'").Obj(), want: "allowed"},
		"an exception":                 {rule: few("a", 0).Except("shop", "web-1", "known").Obj(), want: "allowed"},
		"Mainstay's own kinds":         {rule: builders.MakeClusterRule("a").Modes(v1alpha1.ModeAdmission).Match("*", "*", "*").Refer("pods", "v1", "Pod").Validate("refs.pods.size() < 0", "").Obj(), request: "{resource: {group: mainstay.dev, version: v1alpha1, resource: rules}, object: {}}", want: "allowed"},
		"a rule that nobody enforces":  {rule: unserved.Obj(), want: "allowed"},
		"one for the API server alone": {rule: podRule("a").Validate("false", "").Obj(), want: "allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := newFakeObjects()
			objects.set(namespaces, "", "shop", namespace("shop", map[string]any{"team": "a"}))
			f := start(t, objects, tc.rule)
			// A round after it: the engine counts as ready once it knows all that there is.
			f.Expect(nil)
			f.await(t, "ready", f.ready.Load)
			if tc.request == "" {
				tc.request = aPod
			}
			if got := f.saysOfUnknown(t, tc.request); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// TestGroupThatIsNotKnownOfOthers has no rule of a namespace judge what is in another one, and
// one whose kind cannot be read any more judge on.
func TestGroupThatIsNotKnownOfOthers(t *testing.T) {
	t.Parallel()
	tenants := builders.MakeRule("other", "a").Modes(v1alpha1.ModeAdmission).Match("", "v1", "pods").Refer("pods", "v1", "Pod").
		Validate("refs.pods.size() < 0", "").Obj()
	objects := newFakeObjects()
	f := newEngine(t, objects)
	f.SetRule(rule.Key{Kind: rule.KindRule, Namespace: "other", Name: "a"}, "uid", 1, &tenants.Spec)
	f.Expect(nil)
	f.run(t)
	f.await(t, "ready", f.ready.Load)
	if got := f.saysOfUnknown(t, aPod); got != "allowed" {
		t.Error(got)
	}
	if got := f.saysOfUnknown(t, "{namespace: other, object: {}}"); !strings.HasPrefix(got, "422 Invalid: Rule other/a: ") {
		t.Error(got)
	}
	f.set(few("b", 0).Obj())
	f.await(t, "judged", func() bool { return strings.HasPrefix(f.saysOfUnknown(t, aPod), "422 Invalid: ClusterRule b") })
	objects.setState(podsGVR, informer.State{Phase: informer.Forbidden, Message: "may not list pods"})
	f.await(t, "not waved through", func() bool { return strings.Contains(f.saysOfUnknown(t, aPod), "may not list pods") })
	// Then the leader enforces it nowhere.
	f.passive.SetTime(testNow.Add(policy.Lasting))
	if got := f.saysOfUnknown(t, aPod); got != "allowed" {
		t.Error(got)
	}
}

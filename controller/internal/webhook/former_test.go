package webhook

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/builders"
)

var widgetsGVR = schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"}

// serve has the API server serve widgets.
func (f *fakeObjects) serve(state informer.State) {
	f.mu.Lock()
	f.served = append(f.served, informer.Resource{GroupVersionResource: widgetsGVR, Kind: "Widget", Namespaced: true, Preferred: true})
	f.states[widgetsGVR] = state
	f.mu.Unlock()
	for _, h := range f.handlers {
		h.ResourcesChanged()
	}
}

// needsWidget is another generation of the rule few, in another group.
func needsWidget(generation int64) *builders.ClusterRuleBuilder {
	return podRule("a").Generation(generation).ObjectLabels("app", "web").Refer("widgets", "example.com/v1", "Widget").
		Validate("refs.widgets.size() > 0", "no widget")
}

// TestFormerGenerationJudgesUntilTheNewOneCan has a reference that an edit adds be no reason
// to refuse everything, nor to admit what the former generation denies.
func TestFormerGenerationJudgesUntilTheNewOneCan(t *testing.T) {
	t.Parallel()
	objects := newFakeObjects()
	first, second := few("a", 0).Generation(1).Obj(), needsWidget(2).Obj()
	f := start(t, objects, first)
	key := rule.Key{Kind: rule.KindClusterRule, Name: "a"}
	wants := func(generation string) bool {
		objects.mu.Lock()
		defer objects.mu.Unlock()
		return len(objects.wants["webhook/ClusterRule/a/"+generation]) > 0
	}
	judgedBy := func(what string, generation int64, message string) {
		t.Helper()
		f.await(t, what, func() bool { return f.InForce(key).Generation() == generation })
		for _, group := range []*v1alpha1.ClusterRule{first, second} {
			if got := f.says(t, group, aPod); !strings.Contains(got, message) {
				t.Errorf("%s: %s, want %q", what, got, message)
			}
		}
	}
	inSecondGroup := func() bool { return len(f.current.Load().groups[groupOf(t, second)]) == 1 }

	f.set(second)
	f.await(t, "seen", inSecondGroup)
	judgedBy("it refers to what is not served", 1, "too many")
	objects.serve(informer.State{Phase: informer.Syncing, Message: "listing widgets"})
	judgedBy("that is being read", 1, "too many")
	objects.setState(widgetsGVR, informer.State{Phase: informer.Forbidden, Message: "may not list widgets"})
	judgedBy("that may not be read", 1, "too many")
	if !wants("1") || !wants("2") {
		t.Errorf("wants %v", objects.wants)
	}

	// An edit with mistakes, and another one, go on from what is in force.
	broken := needsWidget(3).Validate("1 +", "").Obj()
	f.set(broken)
	f.await(t, "seen", func() bool { return f.current.Load().rules[key].generation == 3 })
	judgedBy("a slip in an edit", 1, "too many")
	second = needsWidget(4).Obj()
	f.set(second)
	f.await(t, "seen", inSecondGroup)
	judgedBy("mended", 1, "too many")

	objects.setState(widgetsGVR, informer.State{Phase: informer.Synced})
	judgedBy("it can be judged by", 4, "no widget")
	f.await(t, "let go of", func() bool { return !wants("1") && !wants("2") && wants("4") })
	objects.setState(widgetsGVR, informer.State{Phase: informer.Forbidden, Message: "may not list widgets"})
	f.await(t, "its own error", func() bool { return strings.Contains(f.says(t, second, aPod), "may not list widgets") })
	judgedBy("it was in force", 4, "may not list widgets")
	f.RemoveRule(key)
	f.await(t, "gone", func() bool { return f.InForce(key) == nil && !wants("4") })
}

// TestFormerGenerationEndsWhereTheWebhookEnforcesTheNewOne has a replica that cannot read what
// the leader can fail rather than judge by what was before.
func TestFormerGenerationEndsWhereTheWebhookEnforcesTheNewOne(t *testing.T) {
	t.Parallel()
	f := start(t, newFakeObjects(), few("a", 0).Generation(1).Obj())
	key := rule.Key{Kind: rule.KindClusterRule, Name: "a"}
	second := needsWidget(2).Obj()
	f.set(second)
	f.ReleaseRule(key, "uid", 1, v1alpha1.EnforcementWebhook)
	f.ReleaseRule(key, "uid", 2, v1alpha1.EnforcementInProcess)
	f.await(t, "seen", func() bool { return strings.Contains(f.says(t, second, aPod), "too many") })
	f.ReleaseRule(key, "uid", 2, v1alpha1.EnforcementWebhook)
	if f.InForce(key).Generation() != 1 {
		t.Error("released at once")
	}
	f.await(t, "released after "+policy.Settling.String(), func() bool { return strings.Contains(f.says(t, second, aPod), "does not serve") })
}

// TestGenerationThatWasNeverInForce has one that could not be judged by take the place of no
// other.
func TestGenerationThatWasNeverInForce(t *testing.T) {
	t.Parallel()
	first, second := needsWidget(1).Obj(), few("a", 0).Generation(2).Refer("gadgets", "example.com/v1", "Gadget").
		Validate("refs.gadgets.size() > 0", "").Obj()
	f := start(t, newFakeObjects(), first)
	f.set(second)
	key := rule.Key{Kind: rule.KindClusterRule, Name: "a"}
	f.await(t, "by the second generation", func() bool { return f.InForce(key).Generation() == 2 })
}

package webhook

import (
	"strings"
	"testing"

	"golang.org/x/sync/semaphore"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// TestRulesOfANamespaceTakeTurns has the Rules of a namespace that take all the time there is
// keep neither those of another one nor ClusterRules waiting.
func TestRulesOfANamespaceTakeTurns(t *testing.T) {
	t.Parallel()
	f := start(t, newFakeObjects(), few("everywhere", 0).Obj())
	asks := map[string]func() string{}
	for _, namespace := range []string{"shop", "other"} {
		tenants := builders.MakeRule(namespace, "a").Modes(v1alpha1.ModeAdmission).Match("", "v1", "configmaps").Refer("pods", "v1", "Pod").
			Validate("refs.pods.size() < 0", "").Obj()
		key := rule.Key{Kind: rule.KindRule, Namespace: namespace, Name: "a"}
		f.SetRule(key, "uid", 1, &tenants.Spec)
		f.await(t, "seen", func() bool { return f.InForce(key) != nil })
		asks[namespace] = func() string {
			_, response := f.ask(t, policy.AdmitPath+policy.Group(f.InForce(key))+"?timeout=1s",
				review(t, "{namespace: "+namespace+", resource: {version: v1, resource: configmaps}, object: {}}"))
			return response.Result.Message
		}
		f.await(t, "judged", func() bool { return strings.HasPrefix(asks[namespace](), "Rule "+namespace+"/a: ") })
	}

	turn, ok := f.turns.of.Load("shop")
	if !ok {
		t.Fatal("nobody took turns")
	}
	taken := turn.(*semaphore.Weighted)
	if !taken.TryAcquire(1) {
		t.Fatal("a turn was not given back")
	}
	if got := asks["shop"](); !strings.Contains(got, string(busy)) {
		t.Errorf("while others have their turn: %s", got)
	}
	if got := asks["other"](); strings.Contains(got, string(busy)) || got == "" {
		t.Errorf("of another namespace: %s", got)
	}
	if got := f.says(t, few("everywhere", 0).Obj(), aPod); !strings.HasPrefix(got, "422 Invalid: ClusterRule everywhere") {
		t.Errorf("of a ClusterRule: %s", got)
	}
	taken.Release(1)
	if got := asks["shop"](); strings.Contains(got, string(busy)) {
		t.Errorf("once it is their turn: %s", got)
	}
}

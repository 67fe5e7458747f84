package webhook

import (
	"slices"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// TestEntryThatAnEditLeavesStays has the entry of a rule's former generation stay beside the
// new one for a while, and not where the rule asks for none any more.
func TestEntryThatAnEditLeavesStays(t *testing.T) {
	t.Parallel()
	a, b := rule.Key{Kind: rule.KindClusterRule, Name: "a"}, rule.Key{Kind: rule.KindClusterRule, Name: "b"}
	named := func(names ...string) []admissionregistrationv1.ValidatingWebhook {
		var out []admissionregistrationv1.ValidatingWebhook
		for _, name := range names {
			out = append(out, admissionregistrationv1.ValidatingWebhook{Name: name})
		}
		return out
	}
	of := func(a string) map[rule.Key][]string {
		return map[rule.Key][]string{{Kind: rule.KindClusterRule, Name: "a"}: {a}}
	}
	now := time.Unix(0, 0)
	var m moves
	left := func(now map[rule.Key][]string, at time.Time, wanted []admissionregistrationv1.ValidatingWebhook, live ...string) []string {
		var names []string
		for _, entry := range m.left(now, wanted, &admissionregistrationv1.ValidatingWebhookConfiguration{Webhooks: named(live...)}, []byte("ca"), at) {
			names = append(names, entry.Name)
			if string(entry.ClientConfig.CABundle) != "ca" {
				t.Errorf("%s trusts %q", entry.Name, entry.ClientConfig.CABundle)
			}
		}
		return names
	}
	steps := []struct {
		what   string
		now    map[rule.Key][]string
		after  time.Duration
		wanted []admissionregistrationv1.ValidatingWebhook
		live   []string
		want   []string
	}{
		{"at first", of("one"), 0, named("one"), nil, nil},
		{"edited", of("two"), 0, named("two"), []string{"one"}, []string{"one"}},
		{"soon after", of("two"), policy.Settling - time.Second, named("two"), []string{"one", "two"}, []string{"one"}},
		{"settled", of("two"), policy.Settling, named("two"), []string{"one", "two"}, nil},
		{"edited where another is", map[rule.Key][]string{a: {"three"}, b: {"two"}}, policy.Settling, named("two", "three"), []string{"two"}, nil},
		{"gone", map[rule.Key][]string{b: {"two"}}, policy.Settling, named("two"), []string{"two", "three"}, nil},
		{"both gone", nil, policy.Settling, nil, []string{"two"}, nil},
	}
	for _, step := range steps {
		if got := left(step.now, now.Add(step.after), step.wanted, step.live...); !slices.Equal(got, step.want) {
			t.Errorf("%s: %v stay, want %v", step.what, got, step.want)
		}
	}
	if next := m.next(now.Add(policy.Settling)); next != 0 {
		t.Errorf("waits %s for nothing", next)
	}
}

package webhook

import (
	"slices"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// TestWhatAnEditLeavesStays has what the entry of a rule's former generation asks about go on
// being asked about beside the new one for a while, and not where the rule asks for none any
// more.
func TestWhatAnEditLeavesStays(t *testing.T) {
	t.Parallel()
	// An entry is named by what its rules ask about: "pods,nodes".
	entry := func(name, asks string) admissionregistrationv1.ValidatingWebhook {
		out := admissionregistrationv1.ValidatingWebhook{Name: name + policy.EntrySuffix}
		for resource := range strings.SplitSeq(asks, ",") {
			out.Rules = append(out.Rules, admissionregistrationv1.RuleWithOperations{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{resource}},
			})
		}
		return out
	}
	say := func(entries []admissionregistrationv1.ValidatingWebhook) string {
		var out []string
		for _, e := range entries {
			var resources []string
			for _, asked := range e.Rules {
				resources = append(resources, asked.Resources...)
			}
			out = append(out, strings.TrimSuffix(e.Name, policy.EntrySuffix)+":"+strings.Join(resources, ","))
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	a, b := rule.Key{Kind: rule.KindClusterRule, Name: "a"}, rule.Key{Kind: rule.KindClusterRule, Name: "b"}
	in := func(of map[rule.Key]string) map[rule.Key]string {
		out := map[rule.Key]string{}
		for key, name := range of {
			out[key] = name + policy.EntrySuffix
		}
		return out
	}
	type entries = []admissionregistrationv1.ValidatingWebhook
	steps := []struct {
		what    string
		of      map[rule.Key]string
		after   time.Duration
		wanted  entries
		room    int
		refused bool
		want    string
	}{
		{"a former leader's, and nobody's", map[rule.Key]string{a: "one"}, 0, entries{entry("one", "pods")}, 1 << 20, false, "former:pods one:pods"},
		{"settled", map[rule.Key]string{a: "one"}, policy.Settling, entries{entry("one", "pods")}, 1 << 20, false, "one:pods"},
		{"edited, and not written", map[rule.Key]string{a: "two"}, policy.Settling, entries{entry("two", "pods")}, 1 << 20, true, "one:pods two:pods"},
		{"edited, without room", map[rule.Key]string{a: "two"}, policy.Settling, entries{entry("two", "pods")}, 10, true, "two:pods"},
		{"edited", map[rule.Key]string{a: "two"}, 2 * policy.Settling, entries{entry("two", "pods")}, 1 << 20, false, "one:pods two:pods"},
		{"soon after", map[rule.Key]string{a: "two"}, 3*policy.Settling - time.Second, entries{entry("two", "pods")}, 1 << 20, false, "one:pods two:pods"},
		{"settled again", map[rule.Key]string{a: "two"}, 3 * policy.Settling, entries{entry("two", "pods")}, 1 << 20, false, "two:pods"},
		{"another beside it", map[rule.Key]string{a: "two", b: "two"}, 3 * policy.Settling, entries{entry("two", "pods,nodes")}, 1 << 20, false, "two:pods,nodes"},
		{"edited out of a shared one", map[rule.Key]string{a: "three", b: "two"}, 4 * policy.Settling, entries{entry("two", "nodes"), entry("three", "pods")}, 1 << 20, false, "three:pods two:nodes,pods"},
		{"that settled", map[rule.Key]string{a: "three", b: "two"}, 5 * policy.Settling, entries{entry("two", "nodes"), entry("three", "pods")}, 1 << 20, false, "three:pods two:nodes"},
		{"gone", map[rule.Key]string{b: "two"}, 5 * policy.Settling, entries{entry("two", "nodes")}, 1 << 20, false, "two:nodes"},
		{"both gone", nil, 5 * policy.Settling, nil, 1 << 20, false, ""},
	}
	live := &admissionregistrationv1.ValidatingWebhookConfiguration{Webhooks: entries{entry("one", "pods"), entry("former", "pods"), {Name: "validate.mainstay.dev"}}}
	var m moves
	for _, step := range steps {
		at := time.Unix(0, 0).Add(step.after)
		got := m.keep(&policy.Webhooks{Of: in(step.of), Room: step.room}, slices.Clone(step.wanted), live, []byte("ca"), at)
		if said := say(got); said != step.want {
			t.Errorf("%s: %q, want %q", step.what, said, step.want)
		}
		for _, e := range got {
			if wanted := indexOf(step.wanted, e.Name) >= 0; !wanted && string(e.ClientConfig.CABundle) != "ca" {
				t.Errorf("%s: %s trusts %q", step.what, e.Name, e.ClientConfig.CABundle)
			}
		}
		if !step.refused {
			m.written(at)
			live = &admissionregistrationv1.ValidatingWebhookConfiguration{Webhooks: got}
		}
	}
	if next := m.next(time.Unix(0, 0)); next != 0 {
		t.Errorf("waits %s for nothing", next)
	}
}

// TestAsks has an entry ask about what its rules do together, however they are grouped.
func TestAsks(t *testing.T) {
	t.Parallel()
	asked := func(operations, resources string) admissionregistrationv1.RuleWithOperations {
		out := admissionregistrationv1.RuleWithOperations{Rule: admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: strings.Fields(resources)}}
		for operation := range strings.FieldsSeq(operations) {
			out.Operations = append(out.Operations, admissionregistrationv1.OperationType(operation))
		}
		return out
	}
	entry := &admissionregistrationv1.ValidatingWebhook{Rules: []admissionregistrationv1.RuleWithOperations{
		asked("CREATE UPDATE", "pods"), asked("CREATE UPDATE DELETE", "services"),
	}}
	cluster := asked("CREATE", "pods")
	cluster.Scope = new(admissionregistrationv1.ClusterScope)
	for name, tc := range map[string]struct {
		about admissionregistrationv1.RuleWithOperations
		want  bool
	}{
		"one of them":          {asked("CREATE UPDATE", "pods"), true},
		"a part of both":       {asked("UPDATE", "services pods"), true},
		"an operation of one":  {asked("CREATE DELETE", "services pods"), false},
		"another resource":     {asked("CREATE", "pods secrets"), false},
		"in no namespace only": {cluster, false},
	} {
		if got := asks(entry, tc.about); got != tc.want {
			t.Errorf("%s: asks %t", name, got)
		}
	}
}

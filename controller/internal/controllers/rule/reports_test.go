package rule

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// TestReportsTellWhatChanged has a listener hear of what is not known any more, too: another
// one may have had something to say all the while.
func TestReportsTellWhatChanged(t *testing.T) {
	t.Parallel()
	a, b := rule.Key{Kind: rule.KindClusterRule, Name: "a"}, rule.Key{Kind: rule.KindClusterRule, Name: "b"}
	one, two := policy.Report{Generation: 1}, policy.Report{Generation: 2}
	var told []string
	var r Reports
	r.OnChange(func(key rule.Key) { told = append(told, key.Name) })
	for _, step := range []struct {
		what string
		do   func()
		want []string
	}{
		{"new", func() { r.Set(a, one) }, []string{"a"}},
		{"the same", func() { r.Set(a, one) }, nil},
		{"another", func() { r.Set(a, two) }, []string{"a"}},
		{"forgotten", func() { r.Forget(a) }, []string{"a"}},
		{"forgotten before", func() { r.Forget(a) }, nil},
		{"never known", func() { r.Forget(b) }, nil},
		{"all", func() { r.Replace(map[rule.Key]policy.Report{a: one}) }, []string{"a"}},
		{"the same of all", func() { r.Replace(map[rule.Key]policy.Report{a: one}) }, nil},
		{"another of all, and one that is gone", func() { r.Replace(map[rule.Key]policy.Report{b: one}) }, []string{"b", "a"}},
	} {
		told = nil
		step.do()
		if diff := cmp.Diff(step.want, told); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.what, diff)
		}
	}
}

func TestRefusalsAreReportedOnceTheyLast(t *testing.T) {
	t.Parallel()
	a, b := rule.Key{Name: "a"}, rule.Key{Name: "b"}
	var r Refusals
	for i, step := range []struct {
		key   rule.Key
		at    time.Duration
		gone  bool
		wait  time.Duration
		lasts bool
	}{
		{a, 0, false, 10 * time.Second, false},
		{a, policy.Lasting - 1, false, 10 * time.Second, false},
		{b, policy.Lasting, false, 10 * time.Second, false},
		{a, policy.Lasting, false, policy.Lasting, true},
		{a, 2 * policy.Lasting, true, 10 * time.Second, false},
		{b, 2 * policy.Lasting, false, policy.Lasting, true},
	} {
		if step.gone {
			r.Forget(step.key)
		}
		wait, lasts := r.Again(step.key, time.Unix(0, 0).Add(step.at))
		if wait != step.wait || lasts != step.lasts {
			t.Errorf("step %d: again after %s, lasts %t; want %s, %t", i, wait, lasts, step.wait, step.lasts)
		}
	}
}

// TestEnforcedBy has a former generation be let go of for what is said of the present one.
func TestEnforcedBy(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		by         v1alpha1.Enforcement
		status     metav1.ConditionStatus
		reason     string
		generation int64
		want       v1alpha1.Enforcement
	}{
		"by policies":         {v1alpha1.EnforcementInProcess, metav1.ConditionTrue, v1alpha1.ReasonSucceeded, 2, v1alpha1.EnforcementInProcess},
		"by the webhook":      {v1alpha1.EnforcementWebhook, metav1.ConditionTrue, v1alpha1.ReasonSucceeded, 2, v1alpha1.EnforcementWebhook},
		"a former generation": {v1alpha1.EnforcementWebhook, metav1.ConditionTrue, v1alpha1.ReasonSucceeded, 1, ""},
		"not yet":             {v1alpha1.EnforcementWebhook, metav1.ConditionUnknown, v1alpha1.ReasonSyncing, 2, ""},
		"not":                 {v1alpha1.EnforcementInProcess, metav1.ConditionFalse, v1alpha1.ReasonRejected, 2, ""},
		"by idle policies":    {v1alpha1.EnforcementInProcess, metav1.ConditionFalse, v1alpha1.ReasonKindNotFound, 2, v1alpha1.EnforcementInProcess},
		"by no entry":         {v1alpha1.EnforcementWebhook, metav1.ConditionFalse, v1alpha1.ReasonKindNotFound, 2, ""},
	} {
		obj := builders.MakeClusterRule("a").Generation(2).Obj()
		obj.Status.Enforcement = tc.by
		obj.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionEnforced, Status: tc.status, Reason: tc.reason, ObservedGeneration: tc.generation}}
		if got := enforcedBy(obj); got != tc.want {
			t.Errorf("%s: by %q, want %q", name, got, tc.want)
		}
	}
	if got := enforcedBy(builders.MakeRule("shop", "a").Obj()); got != "" {
		t.Errorf("nothing is said: by %q", got)
	}
}

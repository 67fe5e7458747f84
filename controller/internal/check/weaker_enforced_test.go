package check_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
)

func TestRuleThatEnforcesLess(t *testing.T) {
	t.Parallel()
	const both = "  modes: [Admission, Audit]\n"
	for name, tc := range map[string]struct {
		before, after string
		want          string
	}{
		"the same":                      {before: both, after: both},
		"the defaults, spelled out":     {before: both, after: both + "  validationActions: [Deny]\n  failurePolicy: Fail\n"},
		"not audited":                   {before: both, after: "  modes: [Admission]\n", want: "spec.modes Audit → nothing"},
		"not enforced":                  {before: both, after: "", want: "spec.modes Admission → nothing"},
		"enforced, too":                 {before: "", after: both},
		"a warning":                     {before: both, after: both + "  validationActions: [Audit, Warn]\n", want: "spec.validationActions Deny → Warn, Audit"},
		"a warning that denies":         {before: both + "  validationActions: [Warn]\n", after: both},
		"a denial that is audited, too": {before: both, after: both + "  validationActions: [Audit, Deny]\n"},
		"errors are let through":        {before: both, after: both + "  failurePolicy: Ignore\n", want: "spec.failurePolicy Fail → Ignore"},
		"gentle without enforcement":    {before: "", after: "  validationActions: [Warn]\n  failurePolicy: Ignore\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := checked(t, check.Options{}, rendered(t, ruleText("r", tc.before, "true")))
			after := checked(t, check.Options{}, rendered(t, ruleText("r", tc.after, "true")))
			report, err := check.Compare(t.Context(), before, after, "main")
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			if tc.want != "" {
				want = []string{"high rule-weakened all.yaml:1 ClusterRule r asks for less than in main: " + tc.want}
			}
			if diff := cmp.Diff(want, findings(report)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

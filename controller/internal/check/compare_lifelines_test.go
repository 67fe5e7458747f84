package check_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
)

// What a Lifeline found that is not there any more, or is about less, is not mended.
func TestLifelineThatIsAboutLess(t *testing.T) {
	t.Parallel()
	const hostname = "kubernetes.io/hostname"
	weak, strong := workload("a", 1, ""), workload("a", 2, ownSpread)
	narrow := strings.Replace(lifelineText(hostname, ""), "set: all", "set: none", 1)
	for name, tc := range map[string]struct {
		before, after string
		want          []string
	}{
		"mended":                  {lifelineText(hostname, "") + weak, lifelineText(hostname, "") + strong, []string{"fixed"}},
		"deleted":                 {lifelineText(hostname, "") + weak, weak, []string{"unjudged"}},
		"narrowed":                {lifelineText(hostname, "") + weak, narrow + weak, []string{"unjudged"}},
		"deleted and mended":      {lifelineText(hostname, "") + weak, strong, []string{"fixed"}},
		"deleted before it hurts": {lifelineText(hostname, "") + strong, weak, []string{"unjudged"}},
		"all is gone":             {lifelineText(hostname, "") + weak, web, []string{"fixed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, err := check.Compare(t.Context(), checked(t, check.Options{}, rendered(t, tc.before)), checked(t, check.Options{}, rendered(t, tc.after)), "main")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range report.Findings {
				if f.Check == check.LifelineSurvives {
					got = append(got, string(f.State))
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("states (-want +got):\n%s", diff)
			}
		})
	}
}

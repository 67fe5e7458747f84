package schema_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestShortNames(t *testing.T) {
	t.Parallel()
	for short, kind := range map[string]string{"crule": clusterRule, "mrule": rule, "ll": lifeline, "iv": intervention} {
		t.Run(short, func(t *testing.T) {
			t.Parallel()
			create(t, minimal(t, kind, "short"))
			want := strings.ToLower(kind) + ".mainstay.dev/short\n"
			if diff := cmp.Diff(want, kubectl(t, "get", short, "short", "-o", "name")); diff != "" {
				t.Errorf("kubectl get %s (-want +got):\n%s", short, diff)
			}
		})
	}
}

func TestCategory(t *testing.T) {
	t.Parallel()
	want := map[string]bool{}
	for _, kind := range []string{clusterRule, rule, lifeline, intervention} {
		create(t, minimal(t, kind, "category"))
		want[strings.ToLower(kind)+".mainstay.dev/category"] = true
	}
	got := map[string]bool{}
	for line := range strings.Lines(kubectl(t, "get", "mainstay", "-A", "-o", "name")) {
		// Other tests have objects too.
		if name := strings.TrimSpace(line); strings.HasSuffix(name, "/category") {
			got[name] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kubectl get mainstay -A (-want +got):\n%s", diff)
	}
}

// TestCategoryLeavesAllAlone has kubectl get all and kubectl delete all, which have
// nothing to do with Mainstay.
func TestCategoryLeavesAllAlone(t *testing.T) {
	t.Parallel()
	create(t, minimal(t, rule, "not-all"))
	if got := kubectl(t, "get", "all", "-A", "-o", "name"); strings.Contains(got, "mainstay.dev") {
		t.Errorf("kubectl get all lists objects of mainstay.dev:\n%s", got)
	}
}

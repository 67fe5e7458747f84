package check_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/check"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	finding := func(name string, severity v1alpha1.Severity) check.Finding {
		return check.Finding{Check: name, Fingerprint: name, Severity: severity}
	}
	before := &check.Report{Findings: []check.Finding{
		finding("stays", "high"), finding("goes", "critical"), finding("worse", "low"), finding("better", "high"),
	}}
	after := &check.Report{Findings: []check.Finding{
		finding("stays", "high"), finding("comes", "medium"), finding("worse", "high"), finding("better", "low"),
	}}
	got, err := check.Compare(t.Context(), before, after, "main")
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]check.State{}
	for _, f := range got.Findings {
		states[f.Check] = f.State
	}
	want := map[string]check.State{"comes": check.StateNew, "worse": check.StateNew, "goes": check.StateFixed}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	if got.Unchanged != 2 || got.Against != "main" {
		t.Errorf("unchanged %d against %s, want 2 against main", got.Unchanged, got.Against)
	}
	if got.Worst() != v1alpha1.SeverityHigh {
		t.Errorf("the worst is %s: what is fixed does not count", got.Worst())
	}
}

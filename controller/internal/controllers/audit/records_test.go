package audit

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// Of very many violations few are kept with their message. Those that come first are reported
// all the same, while objects are mended and broken.
func TestFirstOfManyViolations(t *testing.T) {
	t.Parallel()
	const count = 3*maxKept + 7
	s := newStore(0)
	for i := range count {
		s.maps = append(s.maps, object("ConfigMap", fmt.Sprintf("m%03d", i)))
	}
	b := newBed(t, s, builders.MakeClusterRule("r").Match("", "v1", "configmaps").Modes(v1alpha1.ModeAudit).
		Validate("'mended' in object.metadata.?labels.orValue({})", "").MessageExpression("'mend ' + object.metadata.name").Obj())
	b.work(t)

	random := rand.New(rand.NewPCG(1, 2))
	for step := range 2 * count {
		var want, got []string
		var fail int32
		turns := random.IntN(count)
		for i := range s.maps {
			if s.maps[i].GetLabels() != nil {
				continue
			}
			if fail++; len(want) < v1alpha1.MaxViolations {
				want = append(want, "mend "+s.maps[i].GetName())
			}
			if step%4 > 0 && fail == 1 {
				turns = i
			}
		}
		report, _ := b.Report(b.key)
		for _, v := range report.Violations {
			got = append(got, v.Message)
		}
		if diff := cmp.Diff(want, got); diff != "" || report.Summary.Fail != fail {
			t.Fatalf("step %d: %d violations, want %d (-want +got):\n%s", step, report.Summary.Fail, fail, diff)
		}
		if kept := len(b.rules[b.key].records.first); kept > maxKept {
			t.Fatalf("step %d: %d violations are kept", step, kept)
		}

		before := s.maps[turns]
		after := before.DeepCopy()
		if after.SetLabels(map[string]string{"mended": ""}); before.GetLabels() != nil {
			after.SetLabels(nil)
		}
		s.maps[turns] = after
		b.ObjectChanged(configMaps, before, after)
		b.work(t)
	}
}

// What a tenant has found of his objects pushes nothing of the recovery path out of a status.
func TestRecoveryPathComesFirst(t *testing.T) {
	t.Parallel()
	var got []string
	refs := []objectRef{{namespace: "apps", name: "a"}, {namespace: "kube-system", name: "b"}, {name: "z"}, {namespace: "flux-system", name: "c"}, {namespace: "apps", name: "A"}}
	slices.SortFunc(refs, inOrder)
	for _, ref := range refs {
		got = append(got, ref.namespace+"/"+ref.name)
	}
	if diff := cmp.Diff([]string{"/z", "flux-system/c", "kube-system/b", "apps/A", "apps/a"}, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

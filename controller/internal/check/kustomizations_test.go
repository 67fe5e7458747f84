package check_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A Kustomization whose folder is not there gives nothing in the cluster.
func TestKustomizationWithoutItsFolder(t *testing.T) {
	t.Parallel()
	const (
		missing = "critical kustomization-path-missing c/all.yaml:1 Kustomization flux-system/apps builds ./gone, which the repository does not have: Flux applies nothing of it, and nothing of what depends on it"
		note    = "Kustomization flux-system/apps builds ./gone of flux-system/"
	)
	other := strings.Replace(follows("apps", "./gone", ""), "name: flux-system}\n", "name: podinfo}\n", 1)
	for name, tc := range map[string]struct {
		path, text string
		want       []string
		wantNotes  []string
	}{
		"a folder that is there":              {path: "c", text: follows("apps", "./a", "")},
		"the root":                            {path: "c", text: follows("apps", "", "")},
		"one that is not":                     {path: "c", text: follows("apps", "./gone", ""), want: []string{missing}},
		"of another repository":               {path: "c", text: other, wantNotes: []string{note + "podinfo, which is not here, so what it applies is not judged"}},
		"with a path that is all of the tree": {path: ".", text: follows("apps", "./gone", ""), wantNotes: []string{note + "flux-system, which is not here, so what it applies is not judged"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := joined(t, map[string]string{tc.path: tc.text}, "")
			if diff := cmp.Diff(tc.want, findings(report)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.wantNotes, notes(report)); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}

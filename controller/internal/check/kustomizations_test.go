package check_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
	"github.com/mainstay-dev/mainstay/controller/internal/render"
)

// A Kustomization whose folder is not there gives nothing in the cluster.
func TestKustomizationWithoutItsFolder(t *testing.T) {
	t.Parallel()
	const (
		missing = "critical kustomization-path-missing c/all.yaml:1 Kustomization flux-system/apps builds ./gone, which the repository does not have: Flux applies nothing of it, and nothing of what depends on it"
		behind  = "critical kustomization-path-missing c/all.yaml:1 Kustomization flux-system/apps builds ./link, where link is a symlink, and Flux leaves symlinks out of what it fetches: Flux applies nothing of it, and nothing of what depends on it"
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
		"one behind a symlink":                {path: "c", text: follows("apps", "./link", ""), want: []string{behind}},
		"one below a symlink":                 {path: "c", text: follows("apps", "./link/gone", ""), want: []string{strings.Replace(behind, "./link", "./link/gone", 1)}},
		"behind one that may be elsewhere":    {path: ".", text: follows("apps", "./link", ""), wantNotes: []string{"Kustomization flux-system/apps builds ./link of flux-system/flux-system, where link is a symlink, which Flux does not fetch from Git, so what it applies is not judged"}},
		"behind one, of an OCI artifact":      {path: "c", text: strings.Replace(follows("apps", "./link", ""), "GitRepository", "OCIRepository", 1), wantNotes: []string{"Kustomization flux-system/apps builds ./link of flux-system/flux-system, where link is a symlink, which Flux does not fetch from Git, so what it applies is not judged"}},
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

// What a render followed, Flux does not have; what it left out is not judged.
func TestWhatFluxFetchesIsNoted(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		links render.Symlinks
		dots  []string
		want  []string
	}{
		"none":     {},
		"a folder": {dots: []string{"c/.private"}, want: []string{"1 folder whose name begins with a dot is not judged, though Flux applies what Git has of it: c/.private"}},
		"followed": {links: render.Symlinks{Followed: []string{"base", "c/a.yaml"}}, want: []string{"2 symlinks are followed, which Flux leaves out of what it fetches: base, c/a.yaml"}},
		"left out": {links: render.Symlinks{LeftOut: []string{"c/a.yaml"}}, want: []string{"1 symlink is left out, as of what Flux fetches, so what is there is not judged: c/a.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result := rendered(t, "")
			result.Symlinks, result.DotFolders = tc.links, tc.dots
			report := checked(t, check.Options{}, result)
			if diff := cmp.Diff(tc.want, notes(report)); diff != "" || len(report.Findings) > 0 {
				t.Errorf("findings %q, notes (-want +got):\n%s", findings(report), diff)
			}
		})
	}
}

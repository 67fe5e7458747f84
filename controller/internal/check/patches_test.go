package check_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
	"github.com/mainstay-dev/mainstay/controller/internal/render"
)

func TestPatches(t *testing.T) {
	t.Parallel()
	const target = "apps/v1/Deployment a/b"
	at := func(line int) render.Origin { return render.Origin{Path: "k.yaml", Line: line} }
	changes := []render.Change{{Target: target, Field: "/spec/replicas", Before: 1, After: 2}}
	for name, tc := range map[string]struct {
		patches   []render.Patch
		want      []string
		wantNotes []string
	}{
		"a patch that hits": {
			patches: []render.Patch{{Origin: at(3), List: "patches", Kind: render.StrategicMerge, Matched: []string{target}, Changes: changes}},
		},
		"a patch that hits on one of two ways": {
			patches: []render.Patch{
				{Origin: at(3), List: "patches", Kind: render.StrategicMerge, Target: "kind=Deployment"},
				{Origin: at(3), List: "patches", Kind: render.StrategicMerge, Target: "kind=Deployment", Matched: []string{target}, Changes: changes},
			},
		},
		"a patch of a FluxInstance that matches nothing": {
			patches: []render.Patch{{Origin: render.Origin{Path: "i.yaml", Line: 9, Instance: "flux-system/flux"}, List: "spec.kustomize.patches", Index: 1, Kind: render.JSON6902, Target: "kind=Deployment name=x"}},
			want:    []string{"high patch-matches-nothing i.yaml:9 spec.kustomize.patches[1] matches no object: target kind=Deployment name=x; flux-operator applies it without a word"},
		},
		"an optional patch that matches nothing": {
			patches:   []render.Patch{{Origin: at(3), List: "patches", Kind: render.JSON6902, Target: "kind=X", Comment: "only where there is one\nmainstay: optional, as not all clusters have it"}},
			wantNotes: []string{"patches[0] has no effect, and its comment says that it need not have any"},
		},
		"a comment that mentions the word": {
			patches: []render.Patch{{Origin: at(3), List: "patches", Kind: render.JSON6902, Target: "kind=X", Comment: "is it mainstay: optional?"}},
			want:    []string{"high patch-matches-nothing k.yaml:3 patches[0] matches no object: target kind=X; kustomize passes it over without a word"},
		},
		"a patch that states again what is there": {
			patches: []render.Patch{{Origin: at(3), List: "patches", File: "p.yaml", Kind: render.StrategicMerge, Target: "kind=Deployment", Matched: []string{target}}},
			want:    []string{"medium patch-changes-nothing k.yaml:3 patches[0] (p.yaml) changes nothing of apps/v1/Deployment a/b: what it sets is there already"},
		},
		"an argument that is appended": {
			patches: []render.Patch{{Origin: at(3), List: "patches", Kind: render.JSON6902, Matched: []string{target}, Changes: []render.Change{
				{Target: target, Field: "/spec/template/spec/containers/0/args/4", After: "--x"},
			}}},
		},
		"an argument that is replaced by a strategic merge": {
			patches: []render.Patch{{Origin: at(3), List: "patches", Kind: render.StrategicMerge, Matched: []string{target}, Changes: []render.Change{
				{Target: target, Field: "/spec/template/spec/containers/0/args/4", Before: "--y", After: "--x"},
			}}},
		},
		"two layers": {
			patches: []render.Patch{
				{Origin: at(3), List: "patches", Kind: render.StrategicMerge, Matched: []string{target}, Changes: changes, OverriddenBy: []render.Override{{By: 1, Target: target, Field: "/spec/replicas", Set: 3}}},
				{Origin: render.Origin{Path: "over.yaml", Line: 5}, List: "patches", Kind: render.StrategicMerge, Matched: []string{target}, Changes: []render.Change{{Target: target, Field: "/spec/replicas", Before: 2, After: 3}}},
			},
			wantNotes: []string{"patches[0] is overridden by patches[0] at over.yaml:5, which sets /spec/replicas of apps/v1/Deployment a/b to 3 and wins"},
		},
		"two patches of one kustomization": {
			patches: []render.Patch{
				{Origin: at(3), List: "patches", Kind: render.StrategicMerge, Matched: []string{target}, Changes: changes, OverriddenBy: []render.Override{{By: 1, Target: target, Field: "/spec/replicas", Set: 3}}},
				{Origin: at(9), List: "patches", Index: 1, Kind: render.JSON6902, Matched: []string{target}, Changes: []render.Change{{Target: target, Field: "/spec/replicas", Before: 2, After: 3}}},
			},
			want: []string{"medium patch-overridden k.yaml:3 patches[0] is overridden by patches[1] at k.yaml:9, which sets /spec/replicas of apps/v1/Deployment a/b to 3 and wins"},
		},
		"two patches of a Secret": {
			patches: []render.Patch{
				{
					Origin: at(3), List: "patches", Kind: render.StrategicMerge, Matched: []string{"v1/Secret a/b"}, Changes: []render.Change{{Target: "v1/Secret a/b", Field: "/stringData/password", Before: "hunter0", After: "hunter1"}},
					OverriddenBy: []render.Override{{By: 1, Target: "v1/Secret a/b", Field: "/stringData/password", Set: "hunter2"}},
				},
				{Origin: at(9), List: "patches", Index: 1, Kind: render.JSON6902, Matched: []string{"v1/Secret a/b"}, Changes: []render.Change{{Target: "v1/Secret a/b", Field: "/stringData/password", Before: "hunter1", After: "hunter2"}}},
			},
			want: []string{"medium patch-overridden k.yaml:3 patches[0] is overridden by patches[1] at k.yaml:9, which sets /stringData/password of v1/Secret a/b to a value that is not shown and wins"},
		},
		"a field beside what an earlier patch made": {
			patches: []render.Patch{
				{Origin: at(3), List: "patches", Kind: render.StrategicMerge, Matched: []string{target}, Changes: changes, OverriddenBy: []render.Override{{By: 1, Target: target, Field: "/spec/x/y", Set: 3}}},
				{Origin: at(9), List: "patches", Index: 1, Kind: render.JSON6902, Matched: []string{target}, Changes: []render.Change{{Target: target, Field: "/spec/x/y", After: 3}}},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := checked(t, check.Options{}, rendered(t, "", tc.patches...))
			if diff := cmp.Diff(tc.want, findings(report)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.wantNotes, notes(report)); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFingerprintOfAPatchOutlivesItsPlace(t *testing.T) {
	t.Parallel()
	mark := func(patches ...render.Patch) string {
		report := checked(t, check.Options{}, rendered(t, "", patches...))
		return report.Findings[len(report.Findings)-1].Fingerprint
	}
	miss := render.Patch{Origin: render.Origin{Path: "k.yaml", Line: 3}, List: "patches", Kind: render.JSON6902, Target: "name=x"}
	moved := miss
	moved.Origin.Line, moved.Index = 30, 4
	other := miss
	other.Target = "name=y"
	if mark(miss) != mark(moved) {
		t.Error("a patch that moved is another finding")
	}
	if mark(miss) == mark(other) {
		t.Error("a patch with another target is the same finding")
	}
	second := miss
	second.Index = 1
	second.Origin.Line = 9
	if mark(miss) == mark(miss, second) {
		t.Error("a second patch like the first is the same finding")
	}
}

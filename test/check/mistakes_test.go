package check_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"sigs.k8s.io/yaml"
)

// want is what want.yaml of a mistake says.
type want struct {
	// Path that is checked, or several with spaces between them.
	Path string `json:"path"`
	// Against is the folder with what the good repository has beside it, or is,
	// in the revision that is compared with; none is compared with where it is
	// empty.
	Against string `json:"against"`
	// Exit code of the program.
	Exit int `json:"exit"`
	// Findings as lines of report.lines, sorted; none where Error is set.
	Findings []string `json:"findings"`
	// Error is the whole of what the program says in place of findings.
	Error string `json:"error"`
}

func TestGoodRepositoryHasNoFinding(t *testing.T) {
	t.Parallel()
	mainstay, dir := program(t), repository(t, flux(t), "")
	for path, least := range map[string]int{"clusters/production": 42, "clusters/operator": 38, "apps/web": 5} {
		got := run(t, mainstay, dir, "check", path, "--root", ".", "--distribution", components, "-o", "json")
		if got.code != 0 {
			t.Errorf("%s: exit code %d\n%s%s", path, got.code, got.stdout, got.stderr)
			continue
		}
		report := parse(t, got.stdout)
		if lines := report.lines(t, dir); len(lines) > 0 {
			t.Errorf("%s has findings:\n%s", path, strings.Join(lines, "\n"))
		}
		if report.Summary.Objects < least || report.Summary.Rules < 15 || report.Summary.Lifelines < 2 || report.Summary.Patches < 1 {
			t.Errorf("%s: too little was looked at: %+v", path, report.Summary)
		}
	}
}

func TestEachMistakeIsFoundByName(t *testing.T) {
	t.Parallel()
	mainstay, manifests := program(t), flux(t)
	folders, err := os.ReadDir("mistakes")
	if err != nil {
		t.Fatal(err)
	}
	if len(folders) < 46 {
		t.Errorf("%d mistakes, want 46 at least", len(folders))
	}
	for _, folder := range folders {
		t.Run(folder.Name(), func(t *testing.T) {
			t.Parallel()
			var want want
			content, err := os.ReadFile(filepath.Join("mistakes", folder.Name(), "want.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			if err := yaml.UnmarshalStrict(content, &want); err != nil {
				t.Fatal(err)
			}
			args := append([]string{"check", "--root", ".", "--distribution", components, "-o", "json"}, strings.Fields(want.Path)...)
			dir := repository(t, manifests, want.Against)
			if want.Against != "" {
				commit(t, dir)
				args = append(args, "--against", "HEAD")
			}
			overlay(t, dir, filepath.Join("mistakes", folder.Name()))
			got := run(t, mainstay, dir, args...)
			if got.code != want.Exit {
				t.Errorf("exit code %d, want %d: %s", got.code, want.Exit, got.stderr)
			}
			if want.Error != "" {
				if diff := cmp.Diff("mainstay: "+want.Error+"\n", got.stderr); diff != "" || got.stdout != "" {
					t.Errorf("what it says (-want +got):\n%s%s", diff, got.stdout)
				}
				return
			}
			if diff := cmp.Diff(want.Findings, parse(t, got.stdout).lines(t, dir), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if len(want.Findings) == 0 {
				t.Error("want.yaml says neither findings nor an error")
			}
		})
	}
}

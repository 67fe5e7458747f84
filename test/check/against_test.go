package check_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// commit puts all that a folder holds into its Git repository.
func commit(t *testing.T, dir string) {
	t.Helper()
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "x"}} {
		if out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
}

func TestAgainstShowsWhatTheChangeMakesWorseOrBetter(t *testing.T) {
	t.Parallel()
	mainstay := program(t)
	dir := repository(t, flux(t), "mistakes/short-tolerations-missing")
	overlay(t, dir, "mistakes/pdb-blocks-drain")
	commit(t, dir)
	// The change repairs the budget, leaves the tolerations, and plants another
	// mistake, below lines that move everything.
	overlay(t, dir, "good")
	overlay(t, dir, "mistakes/short-tolerations-missing")
	patch := filepath.Join(dir, "clusters/production/flux-system/kustomization.yaml")
	content, err := os.ReadFile(patch)
	if err != nil {
		t.Fatal(err)
	}
	write(t, patch, []byte("# One line\n# and another.\n"+string(content)+"replicas:\n- name: source-controller\n  count: 2\n"))

	check := func(args ...string) outcome {
		return run(t, mainstay, dir, append([]string{"check", "clusters/production", "-o", "json"}, args...)...)
	}
	got := check("--against", "HEAD")
	want := []string{
		"fixed medium pdb-blocks-drain apps/web/web.yaml:1 apps/v1/Deployment web/web < apps/web/kustomization.yaml:9",
		"new critical flux-singleton-replicas " + components + " apps/v1/Deployment flux-system/source-controller < clusters/production/flux-system/kustomization.yaml:17",
	}
	report := parse(t, got.stdout)
	if diff := cmp.Diff(want, report.lines(t, dir)); diff != "" || got.code != 1 || report.Unchanged != 1 {
		t.Errorf("exit code %d, %d unchanged, want 1 and 1: %s\nfindings (-want +got):\n%s", got.code, report.Unchanged, got.stderr, diff)
	}

	commit(t, dir)
	if got := check("--against", "HEAD"); got.code != 0 || len(parse(t, got.stdout).Findings) != 0 || parse(t, got.stdout).Unchanged != 2 {
		t.Errorf("nothing changed: exit code %d: %s%s", got.code, got.stdout, got.stderr)
	}
	if got := check(); got.code != 1 || len(parse(t, got.stdout).Findings) != 2 {
		t.Errorf("without a revision: exit code %d: %s%s", got.code, got.stdout, got.stderr)
	}
	if out, err := exec.CommandContext(t.Context(), "git", "-C", dir, "status", "--porcelain").CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("the working tree is touched: %v\n%s", err, out)
	}
}

func TestAgainstARevisionThatCannotBeRendered(t *testing.T) {
	t.Parallel()
	mainstay := program(t)
	dir := repository(t, flux(t), "mistakes/missing-base")
	commit(t, dir)
	overlay(t, dir, "good")
	got := run(t, mainstay, dir, "check", "clusters/production", "--against", "HEAD", "-o", "json")
	if got.code != 0 {
		t.Fatalf("exit code %d: %s", got.code, got.stderr)
	}
	report := parse(t, got.stdout)
	found := false
	for _, note := range report.Notes {
		found = found || strings.Contains(note.Message, "clusters/production could not be checked in HEAD") && strings.Contains(note.Message, "../../apps/wob: no such file or directory")
	}
	if !found || len(report.Findings) != 0 {
		t.Errorf("no note that says so: %+v", report)
	}
}

// Rules beside PATH are files of the change, too: who weakens them must not be
// judged by the result.
func TestAgainstTakesTheRulesOfTheRevision(t *testing.T) {
	t.Parallel()
	mainstay := program(t)
	dir := repository(t, flux(t), "")
	rule := filepath.Join(dir, "rules/owner.yaml")
	content, err := os.ReadFile("bases/own-rule/clusters/production/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, rule, content)
	commit(t, dir)
	write(t, rule, []byte(strings.Replace(string(content), "severity: high", "severity: high\n  suspend: true", 1)))
	check := func(args ...string) (outcome, []string) {
		t.Helper()
		got := run(t, mainstay, dir, append([]string{"check", "clusters/production", "-o", "json", "--rules", "pack,rules"}, args...)...)
		if got.code == 2 {
			t.Fatal(got.stderr)
		}
		return got, parse(t, got.stdout).lines(t, dir)
	}
	want := []string{
		"new high rule-weakened clusters/production:1 ",
		"unjudged high web-has-an-owner apps/web/web.yaml:1 apps/v1/Deployment web/web < apps/web/kustomization.yaml:9",
	}
	got, lines := check("--against", "HEAD")
	if diff := cmp.Diff(want, lines); diff != "" || got.code != 1 {
		t.Errorf("exit code %d, findings (-want +got):\n%s", got.code, diff)
	}
	if message := "than in HEAD: spec.suspend false → true (rules/owner.yaml)"; !strings.Contains(got.stdout, message) {
		t.Errorf("no message says %q:\n%s", message, got.stdout)
	}
	if got, lines := check(); got.code != 0 || len(lines) > 0 {
		t.Errorf("without a revision: exit code %d, findings %v", got.code, lines)
	}
}

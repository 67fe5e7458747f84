package check_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

func TestRevision(t *testing.T) {
	t.Parallel()
	repo, out := t.TempDir(), t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", repo, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, text)
		}
	}
	write := func(name, content string) {
		t.Helper()
		path := filepath.Join(repo, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	git("init", "-q")
	write("a/k.yaml", "one")
	if err := os.Symlink("k.yaml", filepath.Join(repo, "a", "link.yaml")); err != nil {
		t.Fatal(err)
	}
	git("add", "-A")
	git("commit", "-qm", "one")
	write("a/k.yaml", "two")
	if err := check.Revision(t.Context(), filepath.Join(repo, "a"), "HEAD", out); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"k.yaml", "link.yaml"} {
		if content, err := os.ReadFile(filepath.Join(out, name)); err != nil || string(content) != "one" {
			t.Errorf("%s is %q, %v: want what was committed", name, content, err)
		}
	}
	if content, err := os.ReadFile(filepath.Join(repo, "a/k.yaml")); err != nil || string(content) != "two" {
		t.Errorf("the working tree's file is %q, %v", content, err)
	}
	for revision, want := range map[string]string{
		"nope":      "git knows no such revision",
		"--help":    "git knows no such revision",
		"HEAD:a":    "git knows no such revision",
		"":          "find the revision",
		"HEAD~9999": "git knows no such revision",
	} {
		if err := check.Revision(t.Context(), repo, revision, t.TempDir()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("revision %q: %v, want … %s …", revision, err, want)
		}
	}
	if err := check.Revision(t.Context(), t.TempDir(), "HEAD", t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a git repository") {
		t.Errorf("outside of a repository: %v", err)
	}
}

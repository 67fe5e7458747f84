package check_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
	"github.com/mainstay-dev/mainstay/controller/internal/render"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// rendered is a render of the objects of a YAML text, each on a line of its own
// of the file all.yaml.
func rendered(t *testing.T, text string, patches ...render.Patch) *render.Result {
	t.Helper()
	result := &render.Result{Root: "/tree", Patches: patches}
	for i, obj := range builders.Objects(t, []byte(text)) {
		result.Objects = append(result.Objects, render.Object{Object: obj, Origin: render.Origin{Path: "all.yaml", Line: i + 1}})
	}
	return result
}

// checked is the report on a render, by the given rules and Lifelines.
func checked(t *testing.T, opts check.Options, result *render.Result) *check.Report {
	t.Helper()
	opts.Now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	checker, err := check.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	report, err := checker.Check(t.Context(), "tree", result)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// findings are "severity check path:line message".
func findings(report *check.Report) []string {
	var out []string
	for _, f := range report.Findings {
		out = append(out, fmt.Sprintf("%s %s %s:%d %s", f.Severity, f.Check, f.Path, f.Line, f.Message))
	}
	return out
}

func notes(report *check.Report) []string {
	var out []string
	for _, n := range report.Notes {
		out = append(out, n.Message)
	}
	return out
}

// file with a text.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

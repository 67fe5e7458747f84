package check_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// built is the folder with the program, which all tests share.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "mainstay-test-check-")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "mainstay"), "./controller/cmd/mainstay")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("%w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, _ := built(); dir != "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// program is the path of mainstay.
func program(t *testing.T) string {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatalf("building mainstay: %v", err)
	}
	return filepath.Join(dir, "mainstay")
}

// outcome of a run.
type outcome struct {
	code           int
	stdout, stderr string
}

// run mainstay in a folder.
func run(t *testing.T, program, dir string, args ...string) outcome {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	// There is neither a cluster nor a user's configuration of git.
	cmd.Env = append(os.Environ(), "KUBECONFIG=/does/not/exist", "GIT_CONFIG_GLOBAL=/dev/null")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{code: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
}

// report is what -o json prints, as far as tests look at it.
type report struct {
	Findings []struct {
		Check, Severity, Object, Path, Message, State, Fingerprint string
		Line                                                       int
		SetBy                                                      []struct {
			Path string
			Line int
		}
	}
	Notes     []struct{ Check, Object, Message string }
	Unchanged int
	Summary   struct{ Objects, Patches, Rules, Lifelines int }
}

func parse(t *testing.T, text string) report {
	t.Helper()
	var r report
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return r
}

// lines writes each finding as "severity check place object", with the place of
// the last patch that set what is wrong. In Flux's manifests, whose lines change
// with each version, a line at which the object really begins is left out.
func (r report) lines(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	for _, f := range r.Findings {
		place := fmt.Sprintf("%s:%d", f.Path, f.Line)
		if f.Path == components && beginsAt(t, filepath.Join(dir, f.Path), f.Line, f.Object) {
			place = f.Path
		}
		line := strings.Join([]string{f.Severity, f.Check, place, f.Object}, " ")
		if f.State != "" {
			line = f.State + " " + line
		}
		if len(f.SetBy) > 0 {
			line += fmt.Sprintf(" < %s:%d", f.SetBy[0].Path, f.SetBy[0].Line)
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

// beginsAt says whether the document that begins at a line is the object.
func beginsAt(t *testing.T, path string, line int, object string) bool {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Split(string(content), "\n")
	if line < 2 || line > len(all) || all[line-2] != "---" {
		return false
	}
	document, _, _ := strings.Cut(strings.Join(all[line-1:], "\n"), "\n---\n")
	kind, name, _ := strings.Cut(object, " ")
	namespace, name, _ := strings.Cut(name, "/")
	document = "\n" + document
	return strings.Contains(document, "\nkind: "+kind[strings.LastIndexByte(kind, '/')+1:]+"\n") &&
		strings.Contains(document, "\n  name: "+name+"\n") && strings.Contains(document, "\n  namespace: "+namespace+"\n")
}

package check_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
)

// Rules are read to their end, and nothing beside them.
func TestHostileRules(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "r.yaml")
	if err := os.WriteFile(outside, []byte(ruleText("outside", "", "true")), 0o600); err != nil {
		t.Fatal(err)
	}
	fifo := func(at string) error { return syscall.Mkfifo(at, 0o600) }
	link := func(to string) func(string) error { return func(at string) error { return os.Symlink(to, at) } }
	write := func(content string) func(string) error {
		return func(at string) error { return os.WriteFile(at, []byte(content), 0o600) }
	}
	for name, tc := range map[string]struct {
		plant            func(at string) error
		wantFile, wantIn string // where it is named itself, and where its folder is
	}{
		"a FIFO":         {fifo, "it is not a regular file", "it is not a regular file"},
		"a device":       {link("/dev/zero"), "it is not a regular file", "path escapes from parent"},
		"a file outside": {link(outside), "", "path escapes from parent"},
		"a file inside":  {link("own.yaml"), "", ""},
		"too much":       {write(strings.Repeat("#", 4<<20+1)), "it has more than the 4194304 bytes that one file may have", "it has more than the 4194304 bytes that one file may have"},
		"an alias bomb":  {write("a: &a [*a]\n"), "line 1: the alias *a is part of what it stands for", "line 1: the alias *a is part of what it stands for"},
		"a deep one":     {write(strings.Repeat("[", 9000) + strings.Repeat("]", 9000)), "line 1: its YAML nests more than 200 deep", "line 1: its YAML nests more than 200 deep"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := write(ruleText("own", "", "true"))(filepath.Join(dir, "own.yaml")); err != nil {
				t.Fatal(err)
			}
			at := filepath.Join(dir, "r.yaml")
			if err := tc.plant(at); err != nil {
				t.Fatal(err)
			}
			for named, want := range map[string]string{at: tc.wantFile, dir: tc.wantIn} {
				switch _, err := check.FromDir(named); {
				case err == nil && want != "":
					t.Errorf("%s: no error, want %s", named, want)
				case err != nil && (want == "" || err.Error() != "read "+at+": "+want):
					t.Errorf("%s: %v, want %s", named, err, want)
				}
			}
		})
	}
}

package check_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A tag can be moved to other code, a commit cannot; what the docs show is what the
// workflows run.
func TestActionsArePinnedToOneCommitEach(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, ".github/workflows/*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	uses, pinned := regexp.MustCompile(`uses: .*`), regexp.MustCompile(`^uses: ([\w./-]+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)$`)
	at := map[string]string{}
	for _, file := range append(files, filepath.Join(root, "docs/check.md")) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range uses.FindAllString(string(content), -1) {
			match := pinned.FindStringSubmatch(line)
			if match == nil {
				t.Errorf("%s: %q is not pinned as name@commit # v1.2.3", file, line)
				continue
			}
			if known := at[match[1]]; known != "" && known != match[2] {
				t.Errorf("%s: %s is at %s, and elsewhere at %s", file, match[1], match[2], known)
			}
			at[match[1]] = match[2]
		}
	}
	if len(files) < 2 || len(at) < 4 {
		t.Errorf("%d workflows with %d actions, want 2 and 4 at least", len(files), len(at))
	}
}

// Without the slash a pattern matches files, too, such as a README, and one that cannot
// be rendered stops the check.
func TestPatternsOfPathsMatchFoldersOnly(t *testing.T) {
	t.Parallel()
	var files []string
	for _, pattern := range []string{"README.md", "docs/*.md", "docs/*/*.md", ".github/workflows/*.yaml", "controller/cmd/mainstay/*.go"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	command, patterns := regexp.MustCompile(`mainstay check .*`), 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range command.FindAllString(string(content), -1) {
			for path := range strings.FieldsSeq(line) {
				if !strings.Contains(path, "/*") {
					continue
				}
				if patterns++; !strings.HasSuffix(path, "/") {
					t.Errorf("%s: %q of %q does not end in a slash", file, path, line)
				}
			}
		}
	}
	if patterns < 7 {
		t.Errorf("%d patterns, want those of two workflows and of the help, 7 at least", patterns)
	}
}

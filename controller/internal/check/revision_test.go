package check_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
)

// repository is a real one in a new folder.
type repository struct {
	*testing.T
	dir string
}

func newRepository(t *testing.T) repository {
	t.Helper()
	r := repository{t, t.TempDir()}
	r.git("init", "-q")
	return r
}

func (r repository) git(args ...string) string {
	r.Helper()
	cmd := exec.CommandContext(r.Context(), "git", append([]string{"-C", r.dir, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
	text, err := cmd.CombinedOutput()
	if err != nil {
		r.Fatalf("git %v: %v\n%s", args, err, text)
	}
	return strings.TrimSpace(string(text))
}

func (r repository) write(name, content string) {
	r.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		r.Fatal(err)
	}
}

func (r repository) commit() {
	r.Helper()
	r.git("add", "-A")
	r.git("commit", "-qm", "one")
}

// contentOf are the files below a folder: of a symlink where it points, of an empty
// folder "/".
func contentOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(at string, entry os.DirEntry, err error) error {
		if err != nil || at == dir {
			return err
		}
		name, err := filepath.Rel(dir, at)
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir():
			if inside, err := os.ReadDir(at); err != nil || len(inside) == 0 {
				out[name] = "/"
			}
			return nil
		case entry.Type()&os.ModeSymlink != 0:
			target, err := os.Readlink(at)
			out[name] = "-> " + target
			return err
		}
		content, err := os.ReadFile(at)
		out[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRevision(t *testing.T) {
	t.Parallel()
	r, out := newRepository(t), t.TempDir()
	r.write("above.yaml", "above")
	r.write("a/k.yaml", "one")
	r.write("a/b c/ü (1)\n.yaml", "odd")
	if err := os.Symlink("k.yaml", filepath.Join(r.dir, "a", "link.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", filepath.Join(r.dir, "a", "etc")); err != nil {
		t.Fatal(err)
	}
	r.commit()
	r.write("a/k.yaml", "two")
	if submodules, err := check.Revision(t.Context(), filepath.Join(r.dir, "a"), "HEAD", out); err != nil || len(submodules) != 0 {
		t.Fatal(submodules, err)
	}
	want := map[string]string{"k.yaml": "one", "b c/ü (1)\n.yaml": "odd", "link.yaml": "-> k.yaml", "etc": "-> /etc"}
	if diff := cmp.Diff(want, contentOf(t, out)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if content, err := os.ReadFile(filepath.Join(r.dir, "a/k.yaml")); err != nil || string(content) != "two" {
		t.Errorf("the working tree's file is %q, %v", content, err)
	}
}

func TestRevisionsThatAreNotThere(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.write("a/k.yaml", "one")
	r.commit()
	for revision, want := range map[string]string{
		"nope":      "git knows no such revision",
		"--help":    "git knows no such revision",
		"HEAD:a":    "git knows no such revision",
		"":          "find the revision",
		"HEAD~9999": "git knows no such revision",
	} {
		if _, err := check.Revision(t.Context(), r.dir, revision, t.TempDir()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("revision %q: %v, want … %s …", revision, err, want)
		}
	}
	if _, err := check.Revision(t.Context(), t.TempDir(), "HEAD", t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a git repository") {
		t.Errorf("outside of a repository: %v", err)
	}
}

// Flux checks out what is committed: attributes for archives, and filters of
// somebody's machine, have no say in it.
func TestRevisionIgnoresAttributes(t *testing.T) {
	t.Parallel()
	r, out := newRepository(t), t.TempDir()
	attributes := "hidden.yaml export-ignore\nid.yaml export-subst ident\nlines.yaml text eol=crlf\nfiltered.yaml filter=shout\n"
	r.write(".gitattributes", attributes)
	r.write("hidden.yaml", "a: b\n")
	r.write("id.yaml", "id: $Format:%H$ $Id$\n")
	r.write("lines.yaml", "a\nb\n")
	r.write("filtered.yaml", "quiet\n")
	r.commit()
	r.git("config", "filter.shout.smudge", "tr a-z A-Z")
	if _, err := check.Revision(t.Context(), r.dir, "HEAD", out); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		".gitattributes": attributes, "hidden.yaml": "a: b\n", "id.yaml": "id: $Format:%H$ $Id$\n",
		"lines.yaml": "a\nb\n", "filtered.yaml": "quiet\n",
	}
	if diff := cmp.Diff(want, contentOf(t, out)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestRevisionWithASubmodule(t *testing.T) {
	t.Parallel()
	other := newRepository(t)
	other.write("a.yaml", "a: b\n")
	other.commit()
	r, out := newRepository(t), t.TempDir()
	r.write("k.yaml", "one")
	r.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", other.dir, "libs/other")
	r.commit()
	submodules, err := check.Revision(t.Context(), r.dir, "HEAD", out)
	if diff := cmp.Diff([]string{"libs/other"}, submodules); diff != "" || err != nil {
		t.Errorf("submodules (-want +got), %v:\n%s", err, diff)
	}
	if got := contentOf(t, out); got["libs/other"] != "/" || got["k.yaml"] != "one" {
		t.Errorf("files: %v", got)
	}
}

// A hook of another repository sets variables that name that one.
func TestRevisionInAHook(t *testing.T) {
	other := newRepository(t)
	other.write("k.yaml", "another")
	other.commit()
	r, out := newRepository(t), t.TempDir()
	r.write("k.yaml", "one")
	r.commit()
	t.Setenv("GIT_DIR", filepath.Join(other.dir, ".git"))
	t.Setenv("GIT_WORK_TREE", other.dir)
	t.Setenv("GIT_INDEX_FILE", filepath.Join(other.dir, ".git", "index"))
	t.Setenv("GIT_PREFIX", "x/")
	if _, err := check.Revision(t.Context(), r.dir, "HEAD", out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"k.yaml": "one"}, contentOf(t, out)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// A tree that git itself would not make: an entry that leads out of the folder.
func TestRevisionStaysInItsFolder(t *testing.T) {
	t.Parallel()
	r, above := newRepository(t), t.TempDir()
	r.write("k.yaml", "one")
	blob := r.git("hash-object", "-w", "k.yaml")
	r.write("target", above)
	target := r.git("hash-object", "-w", "target")
	inner := r.tree("100644 blob " + blob + "\tfile\n")
	for name, tree := range map[string]string{
		"through a symlink": "120000 blob " + target + "\ta\n040000 tree " + inner + "\ta\n",
		"by its name":       "040000 tree " + inner + "\t..\n",
	} {
		out := filepath.Join(above, strings.ReplaceAll(name, " ", "-"))
		if err := os.Mkdir(out, 0o750); err != nil {
			t.Fatal(err)
		}
		commit := r.git("commit-tree", "-m", "x", r.tree(tree))
		if _, err := check.Revision(t.Context(), r.dir, commit, out); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := os.Lstat(filepath.Join(above, "file")); err == nil {
			t.Errorf("%s: it wrote a file above its folder", name)
		}
	}
}

// tree writes a Git tree as it is given.
func (r repository) tree(entries string) string {
	r.Helper()
	cmd := exec.CommandContext(r.Context(), "git", "-C", r.dir, "mktree")
	cmd.Stdin = strings.NewReader(entries)
	text, err := cmd.Output()
	if err != nil {
		r.Fatalf("git mktree: %v", err)
	}
	return strings.TrimSpace(string(text))
}

package gitserver_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/test/gitserver"
)

func serve(t *testing.T, opts gitserver.Options) *gitserver.Server {
	t.Helper()
	if opts.Address == "" {
		opts.Address = "127.0.0.1:0"
	}
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	s, err := gitserver.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func create(t *testing.T, s *gitserver.Server) *gitserver.Repo {
	t.Helper()
	repo, err := s.Create(t.Context(), "fleet")
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

func git(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v: %s", args[0], err, out)
	}
	return strings.TrimSpace(string(out))
}

// tree clones the repository over http and returns its files with the revision.
func tree(t *testing.T, url string) (map[string]string, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "clone")
	git(t, "clone", "--quiet", "--depth=1", url, dir)
	files := map[string]string{}
	for name := range strings.SplitSeq(git(t, "-C", dir, "ls-files"), "\n") {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(content)
	}
	return files, git(t, "-C", dir, "rev-parse", "HEAD")
}

func TestCommitsAreServed(t *testing.T) {
	t.Parallel()
	repo := create(t, serve(t, gitserver.Options{}))
	steps := []struct {
		files map[string][]byte
		want  map[string]string
	}{
		{
			map[string][]byte{"apps/a.yaml": []byte("a: 1\n"), "apps/b c.yaml": []byte("no newline"), "README": {}},
			map[string]string{"apps/a.yaml": "a: 1\n", "apps/b c.yaml": "no newline", "README": ""},
		},
		{
			map[string][]byte{"apps/a.yaml": []byte("a: 2\n"), "README": nil, "never/was": nil},
			map[string]string{"apps/a.yaml": "a: 2\n", "apps/b c.yaml": "no newline"},
		},
		{
			map[string][]byte{"apps": nil, "x": []byte("x")},
			map[string]string{"x": "x"},
		},
	}
	for i, step := range steps {
		revision, err := repo.Commit(t.Context(), "step", step.files)
		if err != nil {
			t.Fatal(err)
		}
		got, head := tree(t, repo.URL())
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("step %d: files (-want +got):\n%s", i, diff)
		}
		if head != revision || repo.Head() != revision {
			t.Errorf("step %d: the clone is at %s and Head says %s, want %s", i, head, repo.Head(), revision)
		}
	}
}

func TestAddDirReplacesTheFolder(t *testing.T) {
	t.Parallel()
	repo := create(t, serve(t, gitserver.Options{}))
	if _, err := repo.Commit(t.Context(), "first", map[string][]byte{"pkg/old": []byte("old"), "kept": []byte("kept")}); err != nil {
		t.Fatal(err)
	}
	fsys := fstest.MapFS{"sub/new.yaml": {Data: []byte("new")}, "run.sh": {Data: []byte("#!/bin/sh\n"), Mode: 0o755}}
	if _, err := repo.AddDir(t.Context(), "package", "pkg", fsys); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"kept": "kept", "pkg/sub/new.yaml": "new", "pkg/run.sh": "#!/bin/sh\n"}
	got, _ := tree(t, repo.URL())
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if _, err := repo.AddDir(t.Context(), "all", ".", fstest.MapFS{"only": {Data: []byte("1")}}); err != nil {
		t.Fatal(err)
	}
	got, _ = tree(t, repo.URL())
	if diff := cmp.Diff(map[string]string{"only": "1"}, got); diff != "" {
		t.Errorf("files of the root (-want +got):\n%s", diff)
	}
}

func TestCommitRefusesPaths(t *testing.T) {
	t.Parallel()
	repo := create(t, serve(t, gitserver.Options{}))
	for name, path := range map[string]string{
		"absolute": "/etc/passwd", "above the root": "../x", "git's own folder": "a/.Git/hooks/post-update",
		"two lines": "a\nM 100644 inline b", "quoted": `"a"`, "the root": ".",
	} {
		if _, err := repo.Commit(t.Context(), "bad", map[string][]byte{path: []byte("x")}); err == nil {
			t.Errorf("%s: path %q was committed", name, path)
		}
	}
	if repo.Head() != "" {
		t.Errorf("head = %s, want none", repo.Head())
	}
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := serve(t, gitserver.Options{Out: &out})
	repo := create(t, s)
	if _, err := repo.Commit(t.Context(), "first", map[string][]byte{"a": []byte("1")}); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "clone")
	git(t, "clone", "--quiet", repo.URL(), dir)
	git(t, "-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "--quiet", "--allow-empty", "-m", "mine")
	push := exec.CommandContext(t.Context(), "git", "-C", dir, "push", "--quiet")
	if said, err := push.CombinedOutput(); err == nil || !strings.Contains(string(said), "403") {
		t.Errorf("git push = %v: %s, want it refused with 403", err, said)
	}
	for name, request := range map[string]struct {
		method, path string
		want         int
	}{
		"the dumb protocol":   {http.MethodGet, "/fleet.git/info/refs", http.StatusForbidden},
		"a file":              {http.MethodGet, "/fleet.git/HEAD", http.StatusNotFound},
		"writing":             {http.MethodPost, "/fleet.git/git-receive-pack", http.StatusForbidden},
		"a repository beside": {http.MethodGet, "/none.git/info/refs?service=git-upload-pack", http.StatusNotFound},
	} {
		req, err := http.NewRequestWithContext(t.Context(), request.method, s.URL()+request.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != request.want {
			t.Errorf("%s: status = %d, want %d", name, resp.StatusCode, request.want)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if log := out.String(); !strings.Contains(log, "POST /fleet.git/git-upload-pack 200") {
		t.Errorf("the log lacks the clone:\n%s", log)
	}
	if resp, err := http.Get(s.URL()); err == nil {
		_ = resp.Body.Close()
		t.Error("the server still answers after Close")
	}
}

// A broken configuration of the user makes every git command fail that reads it.
func TestTheUsersConfigurationIsNotRead(t *testing.T) {
	home := t.TempDir()
	broken := filepath.Join(home, ".gitconfig")
	if err := os.WriteFile(broken, []byte("[broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	repo := func() *gitserver.Repo {
		s := serve(t, gitserver.Options{})
		t.Setenv("HOME", home)
		t.Setenv("GIT_CONFIG_GLOBAL", broken)
		t.Setenv("GIT_DIR", home)
		return create(t, s)
	}()
	if _, err := repo.Commit(t.Context(), "first", map[string][]byte{"a": []byte("1")}); err != nil {
		t.Fatal(err)
	}
	// git itself cannot be asked with this configuration.
	resp, err := http.Get(repo.URL() + "/info/refs?service=git-upload-pack")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status = %s, want 200", resp.Status)
	}
}

func TestCommitIsFast(t *testing.T) {
	repo := create(t, serve(t, gitserver.Options{}))
	const commits = 50
	began := time.Now()
	for i := range commits {
		if _, err := repo.Commit(t.Context(), "tick", map[string][]byte{"a": {byte('0' + i%10)}}); err != nil {
			t.Fatal(err)
		}
	}
	mean := time.Since(began) / commits
	t.Logf("%s a commit", mean.Round(100*time.Microsecond))
	if want := 50 * time.Millisecond; mean > 4*want {
		t.Errorf("a commit takes %s, want about 10 ms and never %s", mean, 4*want)
	}
}

func TestCommitsAreWhole(t *testing.T) {
	t.Parallel()
	repo, err := serve(t, gitserver.Options{}).Create(t.Context(), "meter")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		// The context ends at every moment of a commit, and before it.
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond)
		if _, err := repo.Commit(ctx, "one", map[string][]byte{"file": {byte(i)}}); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("commit %d: %v", i, err)
		}
		cancel()
	}
	if _, err := repo.Commit(t.Context(), "last", map[string][]byte{"file": []byte("last")}); err != nil {
		t.Errorf("after commits whose context ended: %v", err)
	}
}

package gitserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// branch is the only one of a repository.
const branch = "main"

// commitTimeout bounds a commit: no more than a disk that hangs.
const commitTimeout = time.Minute

// Modes of files as git stores them.
const (
	modeFile       = "100644"
	modeExecutable = "100755"
)

// Repo is a bare repository. Commits may be made from several goroutines; they follow
// one another.
type Repo struct {
	dir string
	url string

	mu   sync.Mutex
	head string // revision of the last commit; empty before the first
}

// URL is the address that a GitRepository names.
func (r *Repo) URL() string { return r.url }

// Branch is the branch that commits are made on.
func (r *Repo) Branch() string { return branch }

// Head is the revision of the last commit, empty before the first.
func (r *Repo) Head() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.head
}

// Commit writes files, by their slash-separated path from the repository's root, and
// returns the revision. Nil content removes a file, or a folder with all in it; what
// is not named stays. A commit that changes nothing is made too. It takes some 10 ms,
// and one that has begun is made also when its context ends.
func (r *Repo) Commit(ctx context.Context, message string, files map[string][]byte) (string, error) {
	changes := make([]change, 0, len(files))
	for _, name := range slices.Sorted(maps.Keys(files)) {
		changes = append(changes, change{path: name, mode: modeFile, content: files[name], remove: files[name] == nil})
	}
	return r.commit(ctx, message, changes)
}

// AddDir makes the folder prefix hold what fsys holds, and nothing else, and returns
// the revision. The prefix "." is the repository's root. Executable files stay
// executable; anything but files and folders is an error.
func (r *Repo) AddDir(ctx context.Context, message, prefix string, fsys fs.FS) (string, error) {
	changes := []change{{path: prefix, remove: true}}
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is no regular file", name)
		}
		content, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		mode := modeFile
		if info.Mode().Perm()&0o111 != 0 {
			mode = modeExecutable
		}
		changes = append(changes, change{path: path.Join(prefix, name), mode: mode, content: content})
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("reading the files for folder %s of the repository: %w", prefix, err)
	}
	return r.commit(ctx, message, changes)
}

// commit makes one commit in one git process.
func (r *Repo) commit(ctx context.Context, message string, changes []change) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("committing to %s: %w", r.url, err)
	}
	// Cut off, git might have made a commit that head does not know.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	stream, err := importStream(r.head, message, changes)
	if err != nil {
		return "", fmt.Errorf("committing to %s: %w", r.url, err)
	}
	out, err := run(ctx, bytes.NewReader(stream), "--git-dir="+r.dir, "fast-import", "--quiet", "--done")
	if err != nil {
		return "", fmt.Errorf("committing to %s: %w", r.url, err)
	}
	revision := strings.TrimSpace(string(out))
	if revision == "" {
		return "", fmt.Errorf("committing to %s: %w", r.url, errors.New("git fast-import told no revision"))
	}
	r.head = revision
	return revision, nil
}

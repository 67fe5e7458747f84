package check

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
)

// Bounds on the tree of a revision. A symlink's target is a path.
const (
	maxRevisionFiles = 100_000
	maxRevisionBytes = 1 << 30
	maxSymlink       = 4096
)

// Modes of the entries of a Git tree that are no plain files.
const (
	modeSymlink   = "120000"
	modeSubmodule = "160000"
)

// treeEntry is a file of a Git tree.
type treeEntry struct {
	mode, object, name string
	size               int64
}

// Revision writes the files that a Git revision has below root into dir, byte for
// byte: no attribute or filter has a say, as they have none in what Flux checks out.
// It returns the submodules, whose files are in no revision of this repository: they
// are empty folders. The repository and its working tree are left as they are.
func Revision(ctx context.Context, root, revision, dir string) ([]string, error) {
	commit, err := git(ctx, root, "rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}")
	if err != nil {
		return nil, fmt.Errorf("find the revision %s in %s: %w", revision, root, err)
	}
	entries, err := treeOf(ctx, root, strings.TrimSpace(string(commit)))
	if err != nil {
		return nil, fmt.Errorf("list the files of the revision %s: %w", revision, err)
	}
	into, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	defer func() { _ = into.Close() }()
	objects, err := openObjects(ctx, root)
	if err != nil {
		return nil, err
	}
	defer objects.close()
	var submodules []string
	for _, e := range entries {
		if e.mode == modeSubmodule {
			submodules = append(submodules, e.name)
		}
		if err := place(into, e, objects); err != nil {
			return nil, fmt.Errorf("read %s of the revision %s: %w", e.name, revision, err)
		}
	}
	return submodules, nil
}

// treeOf the files of a commit below root.
func treeOf(ctx context.Context, root, commit string) ([]treeEntry, error) {
	cmd := gitCommand(ctx, root, "ls-tree", "-r", "-z", "--long", commit)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("run git: %w", err)
	}
	entries, err := parseList(out)
	if err != nil {
		// It writes to a pipe that nobody reads any more.
		_ = out.Close()
		_ = cmd.Wait()
		return nil, err
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	}
	return entries, nil
}

// parseList reads "<mode> <type> <object> <size>\t<name>\0", in which a submodule
// has "-" for a size.
func parseList(out io.Reader) ([]treeEntry, error) {
	var entries []treeEntry
	left := int64(maxRevisionBytes)
	records := bufio.NewScanner(out)
	records.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		if i := bytes.IndexByte(data, 0); i >= 0 {
			return i + 1, data[:i], nil
		}
		if atEOF && len(data) > 0 {
			return 0, nil, io.ErrUnexpectedEOF
		}
		return 0, nil, nil
	})
	for records.Scan() {
		head, name, _ := strings.Cut(records.Text(), "\t")
		fields := strings.Fields(head)
		if len(fields) != 4 || name == "" {
			return nil, fmt.Errorf("git says %q, which is no entry of a tree", records.Text())
		}
		e := treeEntry{mode: fields[0], object: fields[2], name: name}
		if e.mode != modeSubmodule {
			var err error
			if e.size, err = strconv.ParseInt(fields[3], 10, 64); err != nil {
				return nil, fmt.Errorf("read the size of %s: %w", name, err)
			}
		}
		if left -= e.size; left < 0 {
			return nil, fmt.Errorf("it has more than %d bytes", maxRevisionBytes)
		}
		if entries = append(entries, e); len(entries) > maxRevisionFiles {
			return nil, fmt.Errorf("it has more than %d files", maxRevisionFiles)
		}
	}
	return entries, records.Err()
}

// place writes an entry below root and nowhere else.
func place(root *os.Root, e treeEntry, objects *objectReader) error {
	if e.mode == modeSubmodule {
		return root.MkdirAll(e.name, 0o700)
	}
	if err := root.MkdirAll(path.Dir(e.name), 0o700); err != nil {
		return err
	}
	if e.mode == modeSymlink {
		if e.size > maxSymlink {
			return errors.New("the target of the symlink is too long")
		}
		var target strings.Builder
		if err := objects.copy(&target, e); err != nil {
			return err
		}
		// Where it points is judged by whoever follows it.
		return root.Symlink(target.String(), e.name)
	}
	file, err := root.OpenFile(e.name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(objects.copy(file, e), file.Close())
}

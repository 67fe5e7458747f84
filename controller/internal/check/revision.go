package check

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"strings"
)

// Bounds on the tree of a revision.
const (
	maxRevisionFiles = 100_000
	maxRevisionBytes = 1 << 30
)

// Revision writes the files that a Git revision has below root into dir. The
// repository and its working tree are left as they are.
func Revision(ctx context.Context, root, revision, dir string) error {
	commit, err := git(ctx, root, "rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}")
	if err != nil {
		return fmt.Errorf("find the revision %s in %s: %w", revision, root, err)
	}
	//nolint:gosec // the commit is what git itself printed
	cmd := exec.CommandContext(ctx, "git", "-C", root, "archive", "--format=tar", strings.TrimSpace(string(commit)))
	var said bytes.Buffer
	cmd.Stderr = &said
	archive, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("read the revision %s: %w", revision, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run git: %w", err)
	}
	unpacked := unpack(archive, dir)
	if unpacked != nil {
		// It writes to a pipe that nobody reads any more.
		_ = archive.Close()
	}
	if err := cmd.Wait(); err != nil && unpacked == nil {
		return fmt.Errorf("read the revision %s: %w: %s", revision, err, strings.TrimSpace(said.String()))
	}
	if unpacked != nil {
		return fmt.Errorf("read the revision %s: %w", revision, unpacked)
	}
	return nil
}

// git runs a question to the repository.
func git(ctx context.Context, root string, args ...string) ([]byte, error) {
	//nolint:gosec // git takes what follows --end-of-options for a revision only
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	switch text := strings.TrimSpace(said.String()); {
	case err == nil:
		return out, nil
	case text != "":
		return nil, fmt.Errorf("%w: %s", err, text)
	case errors.Is(err, exec.ErrNotFound):
		return nil, err
	}
	return nil, errors.New("git knows no such revision; a shallow clone lacks older ones (actions/checkout: fetch-depth 0)")
}

// unpack writes an archive below dir and nowhere else.
func unpack(archive io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer func() { _ = root.Close() }()
	reader := tar.NewReader(archive)
	files, left := 0, int64(maxRevisionBytes)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
		if files++; files > maxRevisionFiles {
			return fmt.Errorf("it has more than %d files", maxRevisionFiles)
		}
		if left -= header.Size; left < 0 {
			return fmt.Errorf("it has more than %d bytes", maxRevisionBytes)
		}
		if err := place(root, header, reader); err != nil {
			return fmt.Errorf("unpack %s: %w", header.Name, err)
		}
	}
}

func place(root *os.Root, header *tar.Header, content io.Reader) error {
	name := path.Clean(header.Name)
	switch header.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o700)
	case tar.TypeSymlink:
		if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
			return err
		}
		// Where it points is judged by whoever follows it.
		return root.Symlink(header.Linkname, name)
	case tar.TypeReg:
		if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
			return err
		}
		file, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		_, err = io.CopyN(file, content, header.Size)
		return errors.Join(err, file.Close())
	}
	return nil
}

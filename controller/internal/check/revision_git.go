package check

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// gitCommand runs git on the repository that root is in, whatever repository the
// variables that git sets for its hooks name.
func gitCommand(ctx context.Context, root string, args ...string) *exec.Cmd {
	//nolint:gosec // git takes what follows --end-of-options for a revision only
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(repositoryVariables(), name)
	})
	return cmd
}

// repositoryVariables are those of "git rev-parse --local-env-vars", without the
// ones that hold configuration: the owner of a folder may be trusted by them.
func repositoryVariables() []string {
	return []string{
		"GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIR", "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE",
		"GIT_INDEX_FILE", "GIT_INTERNAL_SUPER_PREFIX", "GIT_NO_REPLACE_OBJECTS", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX",
		"GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE", "GIT_WORK_TREE",
	}
}

// git answers a question about a revision.
func git(ctx context.Context, root string, args ...string) ([]byte, error) {
	cmd := gitCommand(ctx, root, args...)
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

// objectReader asks one git for many objects.
type objectReader struct {
	cmd  *exec.Cmd
	ask  io.WriteCloser
	said *bufio.Reader
}

func openObjects(ctx context.Context, root string) (*objectReader, error) {
	cmd := gitCommand(ctx, root, "cat-file", "--batch")
	ask, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	said, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("run git: %w", err)
	}
	return &objectReader{cmd: cmd, ask: ask, said: bufio.NewReader(said)}, nil
}

// copy the content of an entry, which has the size that its tree says.
func (o *objectReader) copy(to io.Writer, e treeEntry) error {
	if _, err := io.WriteString(o.ask, e.object+"\n"); err != nil {
		return fmt.Errorf("ask git for it: %w", err)
	}
	head, err := o.said.ReadString('\n')
	if err != nil {
		return fmt.Errorf("ask git for it: %w", err)
	}
	if want := fmt.Sprintf("%s blob %d\n", e.object, e.size); head != want {
		return fmt.Errorf("git says %q of it, want %q", head, want)
	}
	if _, err := io.CopyN(to, o.said, e.size); err != nil {
		return fmt.Errorf("copy it: %w", err)
	}
	_, err = o.said.Discard(1)
	return err
}

// close ends git, which may still write an object that nobody reads any more.
func (o *objectReader) close() {
	_ = o.ask.Close()
	_ = o.cmd.Cancel()
	_ = o.cmd.Wait()
}

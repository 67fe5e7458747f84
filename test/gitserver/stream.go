package gitserver

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// change is one file written, or one file or folder removed.
type change struct {
	path    string
	mode    string
	content []byte
	remove  bool
}

// importStream is the input of git fast-import for one commit on top of parent, in
// the format of git-fast-import(1). It has the revision printed.
func importStream(parent, message string, changes []change) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "commit refs/heads/%s\nmark :1\n", branch)
	fmt.Fprintf(&b, "committer mainstay <mainstay@example.com> %d +0000\n", time.Now().Unix())
	data(&b, []byte(message))
	if parent != "" {
		fmt.Fprintf(&b, "from %s\n", parent)
	}
	for _, c := range changes {
		if err := checkPath(c.path); err != nil {
			return nil, err
		}
		switch {
		case c.remove && c.path == ".":
			b.WriteString("deleteall\n")
		case c.remove:
			fmt.Fprintf(&b, "D %s\n", c.path)
		case c.path == ".":
			return nil, errors.New("path . is the root and no file")
		default:
			fmt.Fprintf(&b, "M %s inline %s\n", c.mode, c.path)
			data(&b, c.content)
		}
	}
	b.WriteString("\nget-mark :1\ndone\n")
	return b.Bytes(), nil
}

func data(b *bytes.Buffer, content []byte) {
	fmt.Fprintf(b, "data %d\n", len(content))
	b.Write(content)
	b.WriteByte('\n')
}

// checkPath refuses what would have to be quoted in the stream, and what git or the
// client would refuse to check out.
func checkPath(name string) error {
	if !fs.ValidPath(name) || strings.HasPrefix(name, `"`) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
		return fmt.Errorf("path %q is not a plain relative path", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.EqualFold(part, ".git") {
			return fmt.Errorf("path %q goes through a folder .git", name)
		}
	}
	return nil
}

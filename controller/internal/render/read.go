package render

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// ReadYAML reads a file of YAML of at most limit bytes. What is no regular file is
// not opened, as some have no end and others wait for one; what would be more than
// DefaultLimits().Nodes, or says a key of a mapping twice, is an error. Errors do not
// name the file.
func ReadYAML(files fs.FS, name string, limit int64) ([]byte, error) {
	info, err := fs.Stat(files, name)
	if err != nil {
		return nil, unwrapPath(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	file, err := files.Open(name)
	if err != nil {
		return nil, unwrapPath(err)
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, unwrapPath(err)
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("it has more than the %d bytes that one file may have", limit)
	}
	w := weighAll(content, DefaultLimits().Nodes)
	if err := cmp.Or(w.err, w.twice); err != nil {
		if wrong, ok := errors.AsType[*excess](err); ok && wrong.line > 0 && !errors.Is(err, errNotYAML) {
			return nil, fmt.Errorf("line %d: %w", wrong.line, err)
		}
		return nil, err
	}
	return content, nil
}

package render

import (
	"fmt"
	"io/fs"
	"path"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// memory is the file system that kustomize builds from: the files that were read, by
// their path from the root without a slash before it. The one that kustomize brings
// refuses names with blanks and most punctuation, which are as good as others. What
// a build does not call finds an empty file system.
type memory struct {
	filesys.FileSystem
	files   map[string][]byte
	folders map[string]bool
}

var _ filesys.FileSystem = memory{}

func newMemory() memory {
	return memory{FileSystem: filesys.MakeFsInMemory(), files: map[string][]byte{}, folders: map[string]bool{".": true}}
}

// put a file in its folder.
func (m memory) put(rel string, content []byte) {
	m.files[rel] = content
	for dir := path.Dir(rel); !m.folders[dir]; dir = path.Dir(dir) {
		m.folders[dir] = true
	}
}

// inside is an absolute path as one from the root.
func inside(name string) string { return path.Join(".", path.Join("/", name)[1:]) }

// IsDir says whether a path is a folder.
func (m memory) IsDir(name string) bool { return m.folders[inside(name)] }

// Exists says whether a path is a file or a folder.
func (m memory) Exists(name string) bool {
	_, ok := m.files[inside(name)]
	return ok || m.IsDir(name)
}

// ReadFile returns a file's content.
func (m memory) ReadFile(name string) ([]byte, error) {
	content, ok := m.files[inside(name)]
	if !ok {
		return nil, fmt.Errorf("%s: %w", inside(name), fs.ErrNotExist)
	}
	return content, nil
}

// CleanedAbs splits a path into its folder and the name of a file, which is empty for
// a folder.
func (m memory) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	name = path.Join("/", name)
	switch {
	case m.IsDir(name):
		return filesys.ConfirmedDir(name), "", nil
	case m.Exists(name):
		return filesys.ConfirmedDir(path.Dir(name)), path.Base(name), nil
	}
	return "", "", fmt.Errorf("%s: %w", inside(name), fs.ErrNotExist)
}

package render

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Symlinks of a tree, as paths relative to its root. Flux's source-controller packs
// files and folders only: what is reached through a symlink is not in the cluster.
type Symlinks struct {
	// Followed are those that the build went through, as kubectl does.
	Followed []string
	// LeftOut are those to manifests and to folders in a folder without a kustomization.
	LeftOut []string
}

// follow keeps a symlink that the build goes through.
func (s *Symlinks) follow(link string) {
	if link != "" && !slices.Contains(s.Followed, link) {
		s.Followed = append(s.Followed, link)
	}
}

// Symlink is the first part of a path, relative to the root, that is a symlink; empty
// where there is none.
func (r *Result) Symlink(name string) string {
	return symlinkIn(r.Root, name)
}

func symlinkIn(root, rel string) string {
	at := ""
	for _, part := range parts(rel) {
		at = path.Join(at, part)
		info, err := os.Lstat(filepath.Join(root, filepath.FromSlash(at)))
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return at
		}
	}
	return ""
}

// parts of a path relative to the root, none for the root.
func parts(rel string) []string {
	if rel == "." {
		return nil
	}
	return strings.Split(rel, "/")
}

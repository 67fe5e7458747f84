package render

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/sourceignore"
	"github.com/fluxcd/pkg/sourceignore/gitignore"
	"sigs.k8s.io/kustomize/api/konfig"
)

// Bounds on what source-controller is told to leave out: how many files and folders of
// the root are looked at for who tells it, and how many bytes those have together, as
// each manifest is held against each of their patterns.
const (
	maxEntries     = 1_000_000
	maxIgnoreBytes = 64 << 10
)

// ignored is what Flux's source-controller leaves out of what it fetches. As there, one
// pattern of one .sourceignore, wherever that is, takes the place of all defaults but
// Git's own files.
func (t *tree) ignored() (gitignore.Matcher, error) {
	files, err := t.ignoreFiles()
	if err != nil {
		return nil, asError(Origin{Path: t.start}, err)
	}
	var patterns []gitignore.Pattern
	left := maxIgnoreBytes
	for _, file := range files {
		dir := path.Dir(file)
		if _, err := t.resolve(dir, sourceignore.IgnoreFile); err != nil {
			return nil, asError(Origin{Path: file}, err)
		}
		content, err := t.load(file)
		if err != nil {
			return nil, asError(Origin{Path: file}, err)
		}
		if left -= len(content); left < 0 {
			return nil, &Error{Origin: Origin{Path: file}, Err: fmt.Errorf("all %s files have more than %d bytes", sourceignore.IgnoreFile, maxIgnoreBytes)}
		}
		patterns = append(patterns, sourceignore.ReadPatterns(bytes.NewReader(content), parts(dir))...)
	}
	if len(patterns) == 0 {
		return sourceignore.NewDefaultMatcher(nil, nil), nil
	}
	return sourceignore.NewMatcher(append(sourceignore.VCSPatterns(nil), patterns...)), nil
}

// ignoreFiles are all .sourceignore files below the root, those of a folder before those
// of the folders in it, which win.
func (t *tree) ignoreFiles() ([]string, error) {
	var files []string
	seen := 0
	err := filepath.WalkDir(t.root, func(at string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fs.SkipDir // what nobody here may read is no file of the repository
		}
		if seen++; seen > maxEntries {
			return fmt.Errorf("the root has more than %d files: name a smaller one by --root", maxEntries)
		}
		switch {
		case entry.IsDir() && ofGit(entry.Name()):
			return fs.SkipDir
		case !entry.IsDir() && entry.Name() == sourceignore.IgnoreFile:
			rel, err := filepath.Rel(t.root, at)
			if err != nil {
				return err
			}
			files = append(files, filepath.ToSlash(rel))
		}
		return nil
	})
	slices.SortStableFunc(files, func(a, b string) int { return cmp.Compare(len(parts(a)), len(parts(b))) })
	return files, err
}

// hasKustomization says whether Flux finds a kustomization in a folder.
func (t *tree) hasKustomization(dir string, ignored gitignore.Matcher) bool {
	return slices.ContainsFunc(konfig.RecognizedKustomizationFileNames(), func(name string) bool {
		rel := path.Join(dir, name)
		info, err := os.Lstat(filepath.Join(t.root, filepath.FromSlash(rel)))
		return err == nil && info.Mode()&fs.ModeSymlink == 0 && !ignored.Match(parts(rel), false)
	})
}

// parts of a path relative to the root, none for the root.
func parts(rel string) []string {
	if rel == "." {
		return nil
	}
	return strings.Split(rel, "/")
}

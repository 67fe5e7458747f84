package render

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/sourceignore"
	"sigs.k8s.io/kustomize/api/konfig"
)

// Limits on what is read of a tree.
type Limits struct {
	// FileBytes of one file, TotalBytes of all files that the build reads.
	FileBytes, TotalBytes int64
	// Files that the build reads.
	Files int
	// Depth of kustomizations that name each other, and Visits to them: one that is
	// reached on two ways is built twice.
	Depth, Visits int
	// Nodes of all YAML that the build reads, with aliases written out. A manifest or
	// a patch that is built twice counts twice.
	Nodes int
}

// DefaultLimits are far above what a repository of manifests holds: the largest
// bundle of CRDs in common use has some 5 MiB.
func DefaultLimits() Limits {
	return Limits{FileBytes: 16 << 20, TotalBytes: 256 << 20, Files: 20_000, Depth: 64, Visits: 5_000, Nodes: 2_000_000}
}

// tree is a folder that is read below its root only. Everything that is read is
// kept in memory, where kustomize then finds it: a build never reads the disk.
type tree struct {
	root   string // absolute, without symlinks; empty for a tree made in memory
	start  string // what to build, relative to root
	limits Limits
	read   int64
	nodes  int
	yaml   map[string]weighed // by path, as the files in memory
	made   string             // a kustomization that stands for what start has not
	memory memory
	links  Symlinks
	// dotFolders are those that manifests left out for their name.
	dotFolders []string
}

// openTree finds the root of the tree that holds start.
func openTree(start, root string, limits Limits) (*tree, error) {
	if limits == (Limits{}) {
		limits = DefaultLimits()
	}
	if start == "" {
		return nil, &Error{Err: errors.New("no path to render was given")}
	}
	abs, err := filepath.Abs(start)
	if err != nil {
		return nil, &Error{Err: fmt.Errorf("find %s: %w", start, err)}
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return nil, &Error{Err: fmt.Errorf("find %s: %w", start, unwrapPath(err))}
	}
	info, err := os.Stat(abs)
	if err != nil {
		return nil, &Error{Err: fmt.Errorf("find %s: %w", start, unwrapPath(err))}
	}
	top := abs
	if !info.IsDir() {
		top = filepath.Dir(abs)
		if slices.Contains(konfig.RecognizedKustomizationFileNames(), filepath.Base(abs)) {
			abs = top // it stands for its folder
		}
	}
	if root == "" {
		root = gitRoot(top)
	}
	if root, err = filepath.Abs(root); err == nil {
		root, err = filepath.EvalSymlinks(root)
	}
	if err != nil {
		return nil, &Error{Err: fmt.Errorf("find the root %s: %w", root, unwrapPath(err))}
	}
	rel, err := filepath.Rel(root, abs)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return nil, &Error{Err: fmt.Errorf("%s is outside of the root %s", start, root)}
	}
	t := newTree(limits)
	t.root, t.start = root, filepath.ToSlash(rel)
	return t, nil
}

// newTree is an empty tree in memory.
func newTree(limits Limits) *tree {
	return &tree{limits: limits, start: ".", yaml: map[string]weighed{}, memory: newMemory()}
}

// gitRoot is the closest folder at or above dir that holds .git, else dir.
func gitRoot(dir string) string {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, ".git")); err == nil {
			return at
		}
		if at == filepath.Dir(at) {
			return dir
		}
	}
}

// errOutside is a path that leaves the tree.
var errOutside = errors.New("is outside of the tree")

// resolve joins a path of a kustomization in dir, and refuses one that leaves
// the tree, also through a symlink.
func (t *tree) resolve(dir, name string) (string, error) {
	if path.IsAbs(name) || filepath.IsAbs(name) {
		return "", fmt.Errorf("%s is an absolute path; name it relative to the kustomization", name)
	}
	rel := path.Join(dir, filepath.ToSlash(name))
	if rel == ".." || strings.HasPrefix(rel, "../") {
		return "", fmt.Errorf("%s %w: --root says how far up it may reach", name, errOutside)
	}
	if t.root == "" {
		return rel, nil
	}
	at, err := filepath.EvalSymlinks(filepath.Join(t.root, filepath.FromSlash(rel)))
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, unwrapPath(err))
	}
	inside, err := filepath.Rel(t.root, at)
	if err != nil || inside == ".." || strings.HasPrefix(inside, ".."+string(filepath.Separator)) {
		return "", fmt.Errorf("%s is a symlink to a place that %w", name, errOutside)
	}
	if inside = filepath.ToSlash(inside); ofGit(rel) || ofGit(inside) {
		return "", fmt.Errorf("%s is Git's own, which may hold credentials: it is not read", name)
	}
	if inside != rel {
		t.links.follow(symlinkIn(t.root, rel))
	}
	return rel, nil
}

// ofGit says whether a path is that of, or leads through, a repository's .git.
func ofGit(rel string) bool {
	return slices.ContainsFunc(strings.Split(rel, "/"), func(part string) bool { return strings.EqualFold(part, ".git") })
}

// isDir says whether a resolved path is a folder.
func (t *tree) isDir(rel string) bool {
	if t.root == "" {
		return t.memory.IsDir(rel)
	}
	info, err := os.Stat(filepath.Join(t.root, filepath.FromSlash(rel)))
	return err == nil && info.IsDir()
}

// load reads a resolved file within the limits.
func (t *tree) load(rel string) ([]byte, error) {
	if content, ok := t.memory.files[rel]; ok {
		return content, nil
	}
	if t.root == "" {
		return nil, fmt.Errorf("%s: %w", rel, fs.ErrNotExist)
	}
	file := filepath.Join(t.root, filepath.FromSlash(rel))
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", rel, unwrapPath(err))
	}
	switch {
	case info.IsDir():
		return nil, fmt.Errorf("%s is a folder", rel)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", rel)
	case info.Size() > t.limits.FileBytes:
		return nil, fmt.Errorf("%s has %d bytes, more than the %d that one file may have", rel, info.Size(), t.limits.FileBytes)
	case t.read+info.Size() > t.limits.TotalBytes:
		return nil, fmt.Errorf("the build reads more than %d bytes: stopped at %s", t.limits.TotalBytes, rel)
	case len(t.memory.files) >= t.limits.Files:
		return nil, fmt.Errorf("the build reads more than %d files: stopped at %s", t.limits.Files, rel)
	}
	content, err := os.ReadFile(file) //nolint:gosec // resolve keeps it inside the tree
	if err != nil {
		return nil, fmt.Errorf("%s: %w", rel, unwrapPath(err))
	}
	return content, t.put(rel, content)
}

// loadYAML reads a resolved file that is about to be parsed.
func (t *tree) loadYAML(rel string) ([]byte, error) {
	content, err := t.load(rel)
	if err != nil {
		return nil, err
	}
	w := t.yaml[rel]
	if err := t.build(w.nodes, w.err); err != nil {
		return nil, placed(rel, err)
	}
	return content, nil
}

// loadManifest reads a resolved file of objects. One with a key that is there twice is
// refused, as kustomize does not write such an object.
func (t *tree) loadManifest(rel string) ([]byte, error) {
	content, err := t.loadYAML(rel)
	if err != nil {
		return nil, err
	}
	if twice := t.yaml[rel].twice; twice != nil {
		return nil, placed(rel, twice)
	}
	return content, nil
}

// text is a YAML text inside of a file that is about to be parsed.
func (t *tree) text(content string) error {
	return t.build(weigh([]byte(content), t.limits.Nodes))
}

// build counts the nodes of a text that was weighed.
func (t *tree) build(nodes int, err error) error {
	if err != nil {
		return err
	}
	if t.nodes += nodes; t.nodes > t.limits.Nodes {
		return fmt.Errorf("all YAML that the build reads and copies has more than %d nodes, each alias counted as what it stands for, and a file as often as it is built", t.limits.Nodes)
	}
	return nil
}

// placed puts the file and the line to what is wrong with its YAML.
func placed(rel string, err error) error {
	origin := Origin{Path: rel, Line: 1}
	if wrong, ok := errors.AsType[*excess](err); ok {
		origin.Line = max(wrong.line, 1)
	}
	return &Error{Origin: origin, Err: err}
}

// put keeps a file in memory, as if it had been read. What holds too much YAML is
// refused wherever it stands: a file of data can be named as YAML in another place.
func (t *tree) put(rel string, content []byte) error {
	w := weighAll(content, t.limits.Nodes)
	if w.err != nil && !errors.Is(w.err, errNotYAML) {
		return placed(rel, w.err)
	}
	t.yaml[rel] = w
	t.read += int64(len(content))
	t.memory.put(rel, content)
	return nil
}

// kustomizationFile returns the path of dir's kustomization, empty where there is none.
func (t *tree) kustomizationFile(dir string) (string, error) {
	if t.made != "" && path.Dir(t.made) == dir {
		return t.made, nil
	}
	var found []string
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		rel := path.Join(dir, name)
		if t.root == "" {
			if _, ok := t.memory.files[rel]; !ok {
				continue
			}
		} else if _, err := os.Lstat(filepath.Join(t.root, filepath.FromSlash(rel))); err != nil {
			continue
		}
		if _, err := t.resolve(dir, name); err != nil {
			return "", &Error{Origin: Origin{Path: rel}, Err: err}
		}
		if _, err := t.load(rel); err != nil {
			return "", asError(Origin{Path: rel}, err)
		}
		found = append(found, rel)
	}
	if len(found) > 1 {
		return "", &Error{Origin: Origin{Path: found[1]}, Err: fmt.Errorf("%s is there too: a folder has one kustomization", found[0])}
	}
	if len(found) == 0 {
		return "", nil
	}
	return found[0], nil
}

// manifests are what Flux takes of a folder without a kustomization: its YAML
// files and those of the folders below, and folders that have a kustomization.
// source-controller fetches no symlinks, nor the settings of some tools. Folders
// whose name begins with a dot are left out too: most are caches of tools that
// Git ignores, and so not fetched.
func (t *tree) manifests(dir string) ([]string, error) {
	var found []string
	unfetched := sourceignore.NewDefaultMatcher(nil, nil)
	top := filepath.Join(t.root, filepath.FromSlash(dir))
	err := filepath.WalkDir(top, func(at string, entry fs.DirEntry, err error) error {
		if err != nil || at == top {
			return err
		}
		name, err := filepath.Rel(top, at)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		rel := path.Join(dir, name)
		switch ext := path.Ext(name); {
		case unfetched.Match(parts(rel), entry.IsDir()):
			if entry.IsDir() {
				return fs.SkipDir
			}
		case entry.IsDir() && strings.HasPrefix(entry.Name(), "."):
			t.dotFolders = append(t.dotFolders, rel)
			return fs.SkipDir
		case entry.IsDir():
			if !t.hasKustomization(rel) {
				return nil
			}
			found = append(found, name)
			return fs.SkipDir
		case entry.Type()&fs.ModeSymlink != 0:
			if info, err := os.Stat(at); ext == ".yaml" || ext == ".yml" || err == nil && info.IsDir() {
				t.links.LeftOut = append(t.links.LeftOut, rel)
			}
		case ext == ".yaml" || ext == ".yml":
			found = append(found, name)
		}
		if len(found)+len(t.links.LeftOut)+len(t.dotFolders) > t.limits.Files {
			return fmt.Errorf("there are more than %d files", t.limits.Files)
		}
		return nil
	})
	if err != nil {
		return nil, asError(Origin{Path: dir}, err)
	}
	return found, nil
}

// hasKustomization says whether Flux finds a kustomization in a folder.
func (t *tree) hasKustomization(dir string) bool {
	return slices.ContainsFunc(konfig.RecognizedKustomizationFileNames(), func(name string) bool {
		info, err := os.Lstat(filepath.Join(t.root, filepath.FromSlash(dir), name))
		return err == nil && info.Mode()&fs.ModeSymlink == 0
	})
}

// unwrapPath takes the path out of an error that the caller names anyway.
func unwrapPath(err error) error {
	if in, ok := errors.AsType[*fs.PathError](err); ok {
		return in.Err
	}
	return err
}

// asError puts a place to an error that has none yet.
func asError(at Origin, err error) error {
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return &Error{Origin: at, Err: err}
}

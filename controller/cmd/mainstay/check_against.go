package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
)

// baseline checks paths as they are in another revision.
type baseline struct {
	checker *check.Checker
	opts    checkOptions
	// trees are the revision's files, by the root of the working tree.
	trees map[string]*tree
	notes []check.Note
}

// tree is the revision's files below a root, and what they are judged by.
type tree struct {
	dir     string
	checker *check.Checker
}

// check paths as they were. Where the revision does not have one, or it cannot be
// rendered there, nothing was found in it, and a note says so: what broke the
// revision must not keep its repair from being checked.
func (b *baseline) check(ctx context.Context, paths []rendered) (*check.Report, error) {
	var all []rendered
	var checkers []*check.Checker
	for _, path := range paths {
		tree, err := b.tree(ctx, path.result.Root)
		if err != nil {
			return nil, err
		}
		opts := b.opts.render
		opts.Path, opts.Root = filepath.Join(tree.dir, filepath.FromSlash(path.inside)), tree.dir
		if _, err := os.Lstat(opts.Path); errors.Is(err, fs.ErrNotExist) {
			b.note(path.inside, fmt.Sprintf("%s is not there in %s, so all of it is new", path.inside, b.opts.against))
			continue
		}
		old, err := renderOne(ctx, opts)
		if err != nil {
			b.failed(path.inside, err)
			continue
		}
		all, checkers = append(all, old), append(checkers, tree.checker)
	}
	var reports []*check.Report
	for i, path := range all {
		var report *check.Report
		err := substitute(path, all)
		if err == nil {
			report, err = checkers[i].Check(ctx, path.inside, path.result)
		}
		if err != nil {
			b.failed(path.inside, err)
			continue
		}
		reports = append(reports, report)
	}
	return check.Join(reports...), ctx.Err()
}

func (b *baseline) failed(inside string, err error) {
	b.note(inside, fmt.Sprintf("%s could not be checked in %s, so all that is found is new: %s", inside, b.opts.against, err))
}

func (b *baseline) note(inside, message string) {
	b.notes = append(b.notes, check.Note{Check: "against", Message: message, In: inside})
}

// tree of the revision's files below a root.
func (b *baseline) tree(ctx context.Context, root string) (*tree, error) {
	if known := b.trees[root]; known != nil {
		return known, nil
	}
	dir, err := os.MkdirTemp("", "mainstay-check-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the revision: %w", err)
	}
	made := &tree{dir: dir, checker: b.checker}
	b.trees[root] = made
	submodules, err := check.Revision(ctx, root, b.opts.against, dir)
	if err != nil {
		return nil, err
	}
	for _, name := range submodules {
		b.note(name, fmt.Sprintf("%s is a submodule, whose files Git does not have in %s: what it gives is new", name, b.opts.against))
	}
	checker, err := b.checkerOf(root, dir)
	if err != nil {
		b.note("", fmt.Sprintf("the rules that --rules names could not be read in %s, so they are as they are now: %s", b.opts.against, err))
		return made, nil
	}
	made.checker = checker
	return made, nil
}

// checkerOf judges by the rules that --rules names as the revision has them, as
// far as they are files of it: who weakens them must not be judged by the result.
func (b *baseline) checkerOf(root, dir string) (*check.Checker, error) {
	rules, err := rulesOf(b.opts.rules, func(name string) (check.Set, error) {
		at, err := filepath.Abs(name)
		if err == nil {
			at, err = filepath.EvalSymlinks(at)
		}
		if err != nil {
			return check.Set{}, err
		}
		inside, err := filepath.Rel(root, at)
		if err != nil || !filepath.IsLocal(inside) {
			return check.FromDir(name)
		}
		then := filepath.Join(dir, inside)
		if _, err := os.Lstat(then); errors.Is(err, fs.ErrNotExist) {
			return check.Set{}, nil
		}
		return check.FromCopy(then, name)
	})
	if err != nil {
		return nil, err
	}
	return b.checker.By(rules)
}

func (b *baseline) remove() {
	for _, tree := range b.trees {
		_ = os.RemoveAll(tree.dir)
	}
}

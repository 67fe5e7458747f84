package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

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
	dir string
	// distribution that the revision was to be rendered with.
	distribution string
	checker      *check.Checker
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
		opts.Path, opts.Root = filepath.Join(tree.dir, filepath.FromSlash(path.result.Path)), tree.dir
		opts.Distribution = tree.distribution
		if _, err := os.Lstat(opts.Path); errors.Is(err, fs.ErrNotExist) {
			b.note(path.result.Path, fmt.Sprintf("%s is not there in %s, so all of it is new", path.result.Path, b.opts.against))
			continue
		}
		old, err := renderOne(ctx, opts)
		if err != nil {
			b.failed(path.result.Path, err)
			continue
		}
		all, checkers = append(all, old), append(checkers, tree.checker)
	}
	var reports []*check.Report
	for _, i := range builtInOrder(all) {
		report, err := checkOld(ctx, checkers[i], &all[i], all)
		if err != nil {
			b.failed(all[i].result.Path, err)
			continue
		}
		reports = append(reports, report)
	}
	return check.Join(reports...), ctx.Err()
}

// checkOld checks one of the paths as Flux applied it.
func checkOld(ctx context.Context, checker *check.Checker, path *rendered, all []rendered) (*check.Report, error) {
	if err := applied(ctx, path, all); err != nil {
		return nil, err
	}
	return checker.Check(ctx, path.result.Path, path.result)
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
	made.distribution = b.distributionOf(root, dir)
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
		then, err := inRevision(name, root, dir)
		switch {
		case errors.Is(err, errNotThen):
			return check.Set{}, nil
		case err != nil:
			return check.Set{}, err
		}
		return check.FromCopy(then, name)
	})
	if err != nil {
		return nil, err
	}
	return b.checker.By(rules)
}

// distributionOf is what --distribution names as the revision has it, as far as that is
// a file or folder of it: a change of that is a change like others.
func (b *baseline) distributionOf(root, dir string) string {
	name := b.opts.render.Distribution
	if name == "" || strings.HasPrefix(name, "oci://") {
		return name
	}
	then, err := inRevision(name, root, dir)
	if err == nil {
		return then
	}
	if errors.Is(err, errNotThen) {
		b.note("", fmt.Sprintf("%s is not there in %s, so what it gives is as it is now", name, b.opts.against))
	}
	return name // what else is wrong with it, a render says
}

// errNotThen is a file or folder of a tree that the revision does not have.
var errNotThen = errors.New("the revision does not have it")

// inRevision is where the revision, whose files below root are in dir, has a file or
// folder; the same name where that is not below root.
func inRevision(name, root, dir string) (string, error) {
	at, err := filepath.Abs(name)
	if err == nil {
		at, err = filepath.EvalSymlinks(at)
	}
	if err != nil {
		return "", err
	}
	inside, err := filepath.Rel(root, at)
	if err != nil || !filepath.IsLocal(inside) {
		return name, nil //nolint:nilerr // it is not of the tree
	}
	then := filepath.Join(dir, inside)
	if _, err := os.Lstat(then); errors.Is(err, fs.ErrNotExist) {
		return "", errNotThen
	}
	return then, nil
}

func (b *baseline) remove() {
	for _, tree := range b.trees {
		_ = os.RemoveAll(tree.dir)
	}
}

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
	trees map[string]string
	notes []check.Note
}

// check a path as it was. Where the revision does not have it, or cannot be
// rendered, nothing was found there, and a note says so: what broke the
// revision must not keep its repair from being checked.
func (b *baseline) check(ctx context.Context, path rendered) (*check.Report, error) {
	inside := path.inside
	tree, err := b.tree(ctx, path.result.Root)
	if err != nil {
		return nil, fmt.Errorf("--against: %w", err)
	}
	opts := b.opts.render
	opts.Path, opts.Root = filepath.Join(tree, filepath.FromSlash(inside)), tree
	if _, err := os.Lstat(opts.Path); errors.Is(err, fs.ErrNotExist) {
		b.note(inside, fmt.Sprintf("%s is not there in %s, so all of it is new", inside, b.opts.against))
		return &check.Report{}, nil
	}
	report, _, err := checkOne(ctx, b.checker, opts)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("--against: %w", ctx.Err())
	}
	if err != nil {
		b.note(inside, fmt.Sprintf("%s could not be checked in %s, so all that is found is new: %s", inside, b.opts.against, err))
		return &check.Report{}, nil
	}
	return report, nil
}

func (b *baseline) note(inside, message string) {
	b.notes = append(b.notes, check.Note{Check: "against", Message: message, In: inside})
}

// tree of the revision's files below a root.
func (b *baseline) tree(ctx context.Context, root string) (string, error) {
	if tree, known := b.trees[root]; known {
		return tree, nil
	}
	tree, err := os.MkdirTemp("", "mainstay-check-")
	if err != nil {
		return "", fmt.Errorf("make a folder for the revision: %w", err)
	}
	b.trees[root] = tree
	return tree, check.Revision(ctx, root, b.opts.against, tree)
}

func (b *baseline) remove() {
	for _, tree := range b.trees {
		_ = os.RemoveAll(tree)
	}
}

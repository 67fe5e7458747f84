package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mainstay-dev/mainstay/test/drill/report"
)

// The page that shows the report, the picture beside it, and the lines between which
// the page has what the drill found.
const (
	pageFile    = "recovery.md"
	pagePicture = "recovery-stall.svg"
	beginMark   = "<!-- drill: begin -->\n"
	endMark     = "<!-- drill: end -->\n"
)

// publish puts a report into the page in a docs folder, in place of the one before.
func publish(r report.Report, dir string) error {
	file := filepath.Join(dir, pageFile)
	page, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the page of the report: %w", err)
	}
	generated := "![Stall curves](" + pagePicture + ")\n\n" + r.Markdown()
	page, err = between(page, []byte(generated))
	if err != nil {
		return fmt.Errorf("writing the report into %s: %w", file, err)
	}
	picture, err := r.Picture()
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(file, page, 0o644),
		os.WriteFile(filepath.Join(dir, pagePicture), picture, 0o644),
	)
}

// between replaces what is between the marks.
func between(page, content []byte) ([]byte, error) {
	head, rest, found := bytes.Cut(page, []byte(beginMark))
	if !found {
		return nil, fmt.Errorf("it has no line %q", beginMark)
	}
	_, tail, found := bytes.Cut(rest, []byte(endMark))
	if !found {
		return nil, fmt.Errorf("it has no line %q after %q", endMark, beginMark)
	}
	return bytes.Join([][]byte{head, []byte(beginMark), content, []byte(endMark), tail}, nil), nil
}

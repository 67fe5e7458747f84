package faults

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// isGone reports whether a file's cgroup was removed while the file was open.
func isGone(err error) bool { return errors.Is(err, syscall.ENODEV) }

// readNumber reads a file of a cgroup that holds one number.
func readNumber(dir, file string) (int64, error) {
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0, fmt.Errorf("reading a cgroup: %w", err)
	}
	number, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading %s of %s: %w", file, dir, err)
	}
	return number, nil
}

// writeNumber writes a file of a cgroup. It makes no file, so that a cgroup that is
// gone is fs.ErrNotExist.
func writeNumber(dir, file string, number int64) error {
	out, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY|os.O_TRUNC, 0)
	if isGone(err) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return fmt.Errorf("writing a cgroup: %w", err)
	}
	_, err = out.WriteString(strconv.FormatInt(number, 10))
	err = errors.Join(err, out.Close())
	if isGone(err) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return fmt.Errorf("writing %d: %w", number, err)
	}
	return nil
}

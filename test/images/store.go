package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	// format is part of every key: another one makes all images anew.
	format = 1
	// keyLength is how many hexadecimal digits of its content's hash name an archive.
	keyLength = 12
	// kept is how long an archive stays that nobody asks for. One of the tree's own
	// programs is new after every change, so that the cache would grow without end.
	kept = 24 * time.Hour
)

// store returns the path of the archive of c in dir, writing it if it is not there.
// It is written below work first, so that a file with its name is always whole.
func (b *builder) store(ctx context.Context, name string, c content, dir, work string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	key, err := c.key()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name+"-"+key+".tar")
	now := time.Now()
	err = os.Chtimes(path, now, now)
	if err == nil {
		return path, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("marking an archive as used: %w", err)
	}
	temporary := filepath.Join(work, name+".tar")
	if err := c.archive(temporary); err != nil {
		return "", err
	}
	if err := os.Rename(temporary, path); err != nil {
		return "", fmt.Errorf("keeping an archive: %w", err)
	}
	_, _ = fmt.Fprintf(b.out, "made the image %s\n", c.refs[0])
	return path, prune(dir, name, now.Add(-kept))
}

// key names the content.
func (c content) key() (string, error) {
	sum := sha256.New()
	sum.Write(fmt.Appendf(nil, "%d %q %q %q\n", format, c.refs, c.user, c.entrypoint))
	for _, f := range c.files {
		if err := f.hash(sum); err != nil {
			return "", fmt.Errorf("reading %s: %w", f.path, err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:keyLength], nil
}

// hash adds the file, or all that is in the folder.
func (f file) hash(sum hash.Hash) error {
	if f.text != "" {
		sum.Write(fmt.Appendf(nil, "%q %q\n", f.path, f.text))
		return nil
	}
	return filepath.WalkDir(f.source, func(source string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		opened, err := os.Open(source)
		if err != nil {
			return err
		}
		defer func() { _ = opened.Close() }()
		info, err := opened.Stat()
		if err != nil {
			return err
		}
		within, err := filepath.Rel(f.source, source)
		if err != nil {
			return err
		}
		sum.Write(fmt.Appendf(nil, "%q %q %d %t\n", f.path, within, info.Size(), info.Mode()&0o111 != 0))
		_, err = io.Copy(sum, opened)
		return err
	})
}

// prune removes the archives of an image that were last used before then.
func prune(dir, name string, then time.Time) error {
	archives, err := filepath.Glob(filepath.Join(dir, name+"-*.tar"))
	if err != nil {
		return fmt.Errorf("removing old archives: %w", err)
	}
	for _, path := range archives {
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("removing old archives: %w", err)
		}
		if info.ModTime().Before(then) {
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("removing old archives: %w", err)
			}
		}
	}
	return nil
}

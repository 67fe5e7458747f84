package cluster

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// copyStore copies containerd's folder. Contents and unpacked layers, which
// containerd only ever adds and removes, become links where the file system can.
func copyStore(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		info, err := entry.Info()
		if err != nil {
			return err
		}
		switch info.Mode().Type() {
		case fs.ModeDir:
			return copyFolder(target, info)
		case fs.ModeSymlink:
			text, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(text, target)
		case 0:
			if immutable(name) {
				if err := os.Link(path, target); !errors.Is(err, syscall.EXDEV) {
					return err
				}
			}
			return copyFile(path, target, info)
		default:
			return fmt.Errorf("%s is no file, folder or symbolic link", path)
		}
	})
}

// immutable reports whether containerd never writes to a file again.
func immutable(name string) bool {
	return strings.HasPrefix(name, "io.containerd.content.v1.content/blobs/") ||
		strings.Contains(name, "/snapshots/")
}

func copyFolder(target string, info fs.FileInfo) error {
	if err := os.Mkdir(target, info.Mode().Perm()); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return keep(target, info)
}

func copyFile(path, target string, info fs.FileInfo) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	to, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err := errors.Join(err, to.Close()); err != nil {
		return err
	}
	return keep(target, info)
}

// keep gives a copy the owner and the mode of its original.
func keep(target string, info fs.FileInfo) error {
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		if err := os.Lchown(target, int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	return os.Chmod(target, info.Mode()&(fs.ModePerm|fs.ModeSticky|fs.ModeSetuid|fs.ModeSetgid))
}

package tools

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// EnvCache names the variable that moves the cache to another folder.
const EnvCache = "MAINSTAY_CACHE"

// lockPoll is how often a held lock is tried again.
const lockPoll = 200 * time.Millisecond

// CacheDir returns the folder that built tools are kept in: $MAINSTAY_CACHE, or
// mainstay/ in the user's cache folder.
func CacheDir() (string, error) {
	if dir := os.Getenv(EnvCache); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no folder to keep built tools in, set %s: %w", EnvCache, err)
	}
	return filepath.Join(dir, "mainstay"), nil
}

// Lock takes the lock of a folder of the cache, waiting while another process has
// it, and says so to out when it waits. Whoever makes something in the folder under
// a name that others read holds it meanwhile. The lock goes with the process.
func Lock(ctx context.Context, dir string, out io.Writer) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	return lockDir(ctx, dir, New("", "", out).say)
}

// lockDir takes the lock of a folder of the cache, waiting while another process
// has it. The kernel lets go of it when its holder ends, however it ends.
func lockDir(ctx context.Context, dir string, say func(format string, args ...any)) (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	ticker := time.NewTicker(lockPoll)
	defer ticker.Stop()
	for told := false; ; {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			_ = file.Close()
			return nil, fmt.Errorf("locking %s: %w", dir, err)
		}
		if !told {
			told = true
			say("waiting for another process that builds in %s\n", dir)
		}
		select {
		case <-ctx.Done():
			_ = file.Close()
			return nil, fmt.Errorf("waiting for the lock of %s: %w", dir, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// WorkDir makes a folder for one build below dir, also for the go command's own files, which
// it leaves when it is interrupted. Those of builds that were killed are removed: the
// caller has the lock of dir, so no build is at work there.
func WorkDir(dir string) (string, error) {
	left, err := filepath.Glob(filepath.Join(dir, "build-*"))
	if err != nil {
		return "", err
	}
	for _, old := range left {
		if err := os.RemoveAll(old); err != nil {
			return "", err
		}
	}
	return os.MkdirTemp(dir, "build-")
}

package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stateDir has a file for each instance: locked while the cluster lives, with the
// cluster's folder in it until its traces are removed. It is the machine's, not the
// user's: so are the names and addresses.
const stateDir = "/run/mainstay-cluster"

const (
	lockPoll = 50 * time.Millisecond
	// lockWait bounds the wait for a lock that its holder is about to let go of.
	lockWait = 20 * time.Second
)

// Acquire takes an instance for the cluster in dir. It removes first what a cluster
// left there that ended without doing so.
func Acquire(ctx context.Context, dir string) (*Instance, error) {
	if err := os.MkdirAll(stateDir, 0o755); err != nil {
		return nil, fmt.Errorf("taking a number for the cluster: %w", err)
	}
	for number := range maxInstances {
		lock, err := tryLock(instanceFile(number))
		if err != nil {
			return nil, fmt.Errorf("taking a number for the cluster: %w", err)
		}
		if lock == nil {
			continue
		}
		if taken, err := occupied(ctx, number); err != nil || taken {
			_ = lock.Close()
			if err != nil {
				return nil, fmt.Errorf("taking a number for the cluster: %w", err)
			}
			continue
		}
		instance := &Instance{Number: number, Dir: dir, lock: lock}
		if err := instance.take(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("taking the number %d for the cluster: %w", number, err), lock.Close())
		}
		return instance, nil
	}
	return nil, fmt.Errorf("taking a number for the cluster: %d are taken, by real clusters or by networks of this machine", maxInstances)
}

// take makes the instance, whose lock is held, that of its folder.
func (i *Instance) take(ctx context.Context) error {
	// The folder of a cluster that ended without being cleaned up is the dead one's.
	// Its cgroups and links are looked for also when none is recorded: one that is
	// left would fail the start.
	left, err := recorded(i.Number)
	if err != nil {
		return err
	}
	if err := (&Instance{Number: i.Number, Dir: left}).clean(ctx); err != nil {
		return err
	}
	return i.record(i.Dir)
}

// record writes whose the instance is; "" is nobody.
func (i *Instance) record(dir string) error {
	if err := i.lock.Truncate(0); err != nil {
		return fmt.Errorf("recording whose %s is: %w", i.lock.Name(), err)
	}
	if _, err := i.lock.WriteAt([]byte(dir), 0); err != nil {
		return fmt.Errorf("recording whose %s is: %w", i.lock.Name(), err)
	}
	return nil
}

func instanceFile(number int) string { return filepath.Join(stateDir, strconv.Itoa(number)) }

// recorded returns whose an instance is.
func recorded(number int) (string, error) {
	text, err := os.ReadFile(instanceFile(number))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading whose an instance is: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// Release removes what the cluster in dir left outside its workers and gives its
// number back. Every process of the cluster must have ended, or be about to. It does
// nothing when the cluster has no number.
func Release(ctx context.Context, dir string) error {
	for number := range maxInstances {
		owner, err := recorded(number)
		if err != nil {
			return err
		}
		if owner != dir {
			continue
		}
		if err := release(ctx, number, dir); err != nil {
			return fmt.Errorf("removing what the cluster in %s left: %w", dir, err)
		}
	}
	return nil
}

func release(ctx context.Context, number int, dir string) error {
	lock, err := waitLock(ctx, instanceFile(number))
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // closing it twice does no harm
	// Another process may have done it meanwhile, and a third have the number now.
	if owner, err := recorded(number); err != nil || owner != dir {
		return err
	}
	instance := &Instance{Number: number, Dir: dir, lock: lock}
	if err := instance.clean(ctx); err != nil {
		return err
	}
	if err := errors.Join(instance.record(""), lock.Close()); err != nil {
		return err
	}
	return machine().restore(ctx)
}

// clean removes every trace of the instance outside its workers. What is inside them
// ends with them.
func (i *Instance) clean(ctx context.Context) error {
	return errors.Join(
		i.killCgroup(ctx),
		unmountBelow(i.Dir),
		i.removeNetwork(ctx),
		i.removeCgroup(ctx),
	)
}

// live reports whether a cluster has the instance whose file is at path. One that was
// killed may not have given it back, but nobody has its lock.
func live(path string) (bool, error) {
	lock, err := tryLock(path)
	if err != nil || lock == nil {
		return err == nil, err
	}
	return false, lock.Close()
}

// tryLock returns the locked file, or nil when another process has the lock.
func tryLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return file, nil
	}
	_ = file.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil //nolint:nilnil // no file is the answer
	}
	return nil, fmt.Errorf("locking %s: %w", path, err)
}

// waitLock waits until it gets the lock.
func waitLock(ctx context.Context, path string) (lock *os.File, err error) {
	err = poll(ctx, lockWait, func() (bool, error) {
		lock, err = tryLock(path)
		return lock != nil, err
	})
	if err != nil {
		return nil, fmt.Errorf("waiting for the lock %s: %w", path, err)
	}
	return lock, nil
}

// poll waits until done says so or fails.
func poll(ctx context.Context, limit time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticker := time.NewTicker(lockPoll)
	defer ticker.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not done within %s: %w", limit, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// command runs a program and has what it printed in the error.
func command(ctx context.Context, in io.Reader, name string, args ...string) (string, error) {
	cmd := newCommand(ctx, name, args...)
	cmd.Stdin = in
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

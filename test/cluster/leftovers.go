package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// dirPrefix begins the name of every cluster's folder in the temporary folder.
const dirPrefix = "mainstay-cluster-"

// groupEnd bounds how long the processes of a killed group may take to be gone.
const groupEnd = 10 * time.Second

// young is how long a folder may be without its owner's lock: as long as it takes
// to make one after the other.
const young = time.Minute

// StopDir ends the cluster in a folder that Dir returned, also from another process
// than the one that started it, and removes the folder. While that one lives, and is
// not to be outlived, it is an error.
func StopDir(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, aliveFile)); err != nil {
		return fmt.Errorf("stopping the cluster in %s: no cluster is there: %w", dir, err)
	}
	if _, err := os.Stat(filepath.Join(dir, keepFile)); err != nil {
		// Its watchdog, which ends all of it, waits for that process.
		if held, err := locked(filepath.Join(dir, ownerFile)); err != nil || held {
			return errors.Join(fmt.Errorf("stopping the cluster in %s: the process that started it lives: end that one", dir), err)
		}
	}
	if err := errors.Join(forgetWorkers(dir), tearDown(dir)); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("stopping the cluster in %s: %w", dir, err)
	}
	return nil
}

// tearDown ends the cluster in dir and removes what it left outside its folder.
func tearDown(dir string) error { return errors.Join(stopGroup(dir), releaseHost(dir)) }

// stopGroup kills the process group of the cluster in dir, if it lives.
func stopGroup(dir string) error {
	alive := filepath.Join(dir, aliveFile)
	if held, err := locked(alive); err != nil || !held {
		return err
	}
	id, err := groupID(dir)
	if err != nil {
		return err
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(groupEnd); time.Now().Before(deadline); <-ticker.C {
		if err := syscall.Kill(-id, syscall.SIGKILL); errors.Is(err, syscall.ESRCH) {
			return nil
		} else if err != nil {
			return fmt.Errorf("killing the process group %d of the cluster in %s: %w", id, dir, err)
		}
		// A process that nobody has waited for is still in its group, but it has let
		// go of the lock.
		if held, err := locked(alive); err != nil || !held {
			return err
		}
	}
	return fmt.Errorf("killing the process group %d of the cluster in %s: still there after %s", id, dir, groupEnd)
}

// sweep removes what clusters of dead owners left in the folder parent: those whose
// watchdog was killed too, and those from before a reboot.
func sweep(parent string, out io.Writer) error {
	dirs, err := filepath.Glob(filepath.Join(parent, dirPrefix+"*"))
	if err != nil {
		return fmt.Errorf("looking for left clusters in %s: %w", parent, err)
	}
	for _, dir := range dirs {
		left, err := abandoned(dir)
		if err != nil || !left {
			continue
		}
		_, _ = fmt.Fprintf(out, "removing the cluster that a dead process left in %s\n", dir)
		// The folder goes last: it has what another try needs.
		if err := tearDown(dir); err != nil {
			return fmt.Errorf("removing a left cluster: %w", err)
		}
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("removing a left cluster: %w", err)
		}
	}
	return nil
}

// abandoned reports whether nobody will end the cluster in dir. A folder that another
// user made, or may write to, is none of this user's clusters: what it says of
// processes to end could be anything.
func abandoned(dir string) (bool, error) {
	info, err := os.Lstat(dir)
	if err != nil {
		return false, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(stat.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return false, nil
	}
	if time.Since(info.ModTime()) < young {
		return false, nil
	}
	if held, err := locked(filepath.Join(dir, ownerFile)); err != nil || held {
		return false, err
	}
	if _, err := os.Stat(filepath.Join(dir, keepFile)); err != nil {
		return true, nil //nolint:nilerr // one that nobody keeps
	}
	held, err := locked(filepath.Join(dir, aliveFile))
	return !held, err
}

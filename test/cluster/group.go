package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Files in a cluster's folder that say whose it is.
const (
	// ownerFile is locked by the process that called Start, for as long as it lives.
	ownerFile = "owner"
	// aliveFile is locked by every process of the group: each inherits the open
	// file. While the lock is held the group's id cannot have been given to others.
	aliveFile = "alive"
	// groupFile has the process group's id.
	groupFile = "group"
	// keepFile is there when the cluster outlives its owner.
	keepFile = "keep"
)

// cleanupLog has what the clean-up outside real workers said, when it failed.
const cleanupLog = "cleanup.log"

// watchdogScript waits for its standard input to end, which the kernel does when the
// owner is gone, then ends the group and removes the folder. The owner's Stop uses
// the same way out. Where the clean-up fails the folder stays, for the next start to
// try again.
const watchdogScript = `
read -r word || word=
[ "$word" = keep ] && exit 0
[ -s "$1/group" ] || sleep 1
group=$(cat "$1/group" 2>/dev/null)
# Unlocked, the group is gone, and its id may be another's by now.
if [ -n "$group" ] && ! { command -v flock >/dev/null && flock -n -s "$1/alive" true; }; then
	kill -s KILL -- "-$group" 2>/dev/null
fi
if [ -x "$1/worker" ]; then
	"$1/worker" cleanup "$1" 2>"$1/cleanup.log" || exit 1
fi
tries=0
while [ -e "$1" ] && [ $tries -lt 50 ]; do
	rm -rf -- "$1" 2>/dev/null || sleep 0.1
	tries=$((tries + 1))
done
`

// anchorScript leads the group. It records the id itself, so that there is no moment
// at which the group exists and its id is known only to an owner that may be gone,
// and then waits without end: it holds both sides of the pipe that it reads.
const anchorScript = `echo $$ >"$1/group"; exec cat`

// group is the process group of one cluster, with its watchdog.
type group struct {
	dir   string
	id    int
	owner *os.File
	// locks are what every process of the group inherits: the alive file first.
	locks []*os.File

	anchor   *exec.Cmd
	watchdog *exec.Cmd
	// anchorDone is closed when the anchor has ended and been waited for: unwaited
	// it would still count as a member of the group.
	anchorDone chan struct{}
	// lifeline is the pipe whose end tells the watchdog that the owner is gone.
	lifeline io.WriteCloser

	mu        sync.Mutex
	processes []*process
	ending    bool
}

// claim makes the folder dir this process's, for as long as the file is open.
func claim(dir string) (*os.File, error) { return lockFile(filepath.Join(dir, ownerFile)) }

// newGroup starts the watchdog and the group for the cluster in dir, which the caller has
// claimed. The claim, and more locks than the group's own, are closed when the group ends.
func newGroup(dir string, owner *os.File, locks ...*os.File) (*group, error) {
	g := &group{dir: dir, owner: owner}
	alive, err := lockFile(filepath.Join(dir, aliveFile))
	if err != nil {
		return nil, errors.Join(err, g.owner.Close())
	}
	g.locks = append([]*os.File{alive}, locks...)
	if err := g.startWatchdog(); err != nil {
		return nil, errors.Join(err, g.owner.Close(), g.unlock())
	}
	if err := g.startAnchor(); err != nil {
		return nil, errors.Join(err, g.end())
	}
	return g, nil
}

func (g *group) startWatchdog() error {
	g.watchdog = exec.Command("sh", "-c", watchdogScript, "mainstay-watchdog", g.dir)
	g.watchdog.Dir = "/"
	// A session of its own: what ends the owner's group or terminal spares it.
	g.watchdog.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var err error
	if g.lifeline, err = g.watchdog.StdinPipe(); err != nil {
		return fmt.Errorf("starting the cluster's watchdog: %w", err)
	}
	if err := g.watchdog.Start(); err != nil {
		return fmt.Errorf("starting the cluster's watchdog: %w", err)
	}
	return nil
}

func (g *group) startAnchor() error {
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("starting the cluster's process group: %w", err)
	}
	defer func() { _, _ = read.Close(), write.Close() }()
	g.anchor = exec.Command("sh", "-c", anchorScript, "mainstay-anchor", g.dir)
	g.anchor.Dir = "/"
	g.anchor.Stdin = read
	g.anchor.ExtraFiles = append(slices.Clone(g.locks), write)
	g.anchor.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := g.anchor.Start(); err != nil {
		return fmt.Errorf("starting the cluster's process group: %w", err)
	}
	g.id = g.anchor.Process.Pid
	g.anchorDone = make(chan struct{})
	go func() {
		defer close(g.anchorDone)
		_ = g.anchor.Wait() // it is killed in the end, and says so
	}()
	return nil
}

// release lets the group outlive its owner.
func (g *group) release() error {
	if err := os.WriteFile(filepath.Join(g.dir, keepFile), nil, 0o644); err != nil {
		return fmt.Errorf("letting the cluster outlive its owner: %w", err)
	}
	if _, err := io.WriteString(g.lifeline, "keep\n"); err != nil {
		return fmt.Errorf("letting the cluster outlive its owner: %w", err)
	}
	if err := errors.Join(g.lifeline.Close(), g.watchdog.Wait()); err != nil {
		return fmt.Errorf("letting the cluster outlive its owner: %w", err)
	}
	g.lifeline = nil
	return nil
}

// end ends every process of the group and removes the folder.
func (g *group) end() error {
	g.mu.Lock()
	g.ending = true
	processes := g.processes
	g.mu.Unlock()

	errs := []error{g.unlock()}
	var left error
	if g.lifeline != nil {
		errs = append(errs, g.lifeline.Close())
		if left = g.watchdog.Wait(); left != nil {
			left = fmt.Errorf("cleaning up: %w\n%s", left, tail(filepath.Join(g.dir, cleanupLog)))
		}
	} else {
		left = tearDown(g.dir)
	}
	errs = append(errs, left)
	for _, p := range processes {
		<-p.done
	}
	if g.anchorDone != nil {
		<-g.anchorDone
	}
	errs = append(errs, g.owner.Close())
	if left == nil {
		errs = append(errs, os.RemoveAll(g.dir))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("ending the cluster in %s: %w", g.dir, err)
	}
	return nil
}

// unlock lets go of the locks, which the group's processes may still hold.
func (g *group) unlock() error {
	var errs []error
	for _, lock := range g.locks {
		errs = append(errs, lock.Close())
	}
	return errors.Join(errs...)
}

// died returns a process that ended though nobody ended it, or nil.
func (g *group) died() *process {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.processes {
		if p.died() {
			return p
		}
	}
	return nil
}

// lockFile creates a file and locks it for as long as it, or a copy of it that a
// process inherited, is open.
func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), file.Close())
	}
	return file, nil
}

// locked reports whether somebody holds the lock of the file at path. A file that is
// not there is not locked.
func locked(path string) (bool, error) {
	// Whoever may write to the folder may have put a pipe or a link there.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking at the lock %s: %w", path, err)
	}
	defer func() { _ = file.Close() }()
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking at the lock %s: %w", path, err)
	}
	return false, nil
}

// groupID reads the id of the process group in a cluster's folder.
func groupID(dir string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dir, groupFile))
	if err != nil {
		return 0, fmt.Errorf("reading the process group of the cluster in %s: %w", dir, err)
	}
	// 0 and 1 would name the caller's own group and everybody.
	id, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || id <= 1 {
		return 0, fmt.Errorf("reading the process group of the cluster in %s: %q is no process id", dir, text)
	}
	return id, nil
}

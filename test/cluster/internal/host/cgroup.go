package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cgroupEnd bounds how long the processes of a killed cgroup may take to be gone.
const cgroupEnd = 15 * time.Second

// Hierarchy is a mounted cgroup hierarchy.
type Hierarchy struct {
	// Path is where it is mounted.
	Path string
	// Controllers are those of cgroup v1 in it; the unified one has none here.
	Controllers []string
}

// Hierarchies lists the mounted cgroup hierarchies, the unified one included:
// runc makes cgroups in all of them.
func Hierarchies() ([]Hierarchy, error) {
	mounts, err := readMounts()
	if err != nil {
		return nil, err
	}
	var all []Hierarchy
	for _, m := range mounts {
		switch m.kind {
		case "cgroup":
			var controllers []string
			for option := range strings.SplitSeq(m.options, ",") {
				if option != "rw" && option != "ro" {
					controllers = append(controllers, option)
				}
			}
			all = append(all, Hierarchy{m.point, controllers})
		case "cgroup2":
			all = append(all, Hierarchy{Path: m.point})
		}
	}
	return all, nil
}

// MakeCgroup makes a cgroup in every hierarchy, usable by processes: a new cgroup of
// cpuset has neither CPUs nor memory nodes.
func MakeCgroup(path string) error {
	hierarchies, err := Hierarchies()
	if err != nil {
		return err
	}
	for _, h := range hierarchies {
		dir := h.Path
		for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
			parent := dir
			dir = filepath.Join(dir, part)
			if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
				return fmt.Errorf("making the cgroup %s: %w", dir, err)
			}
			if !slices.Contains(h.Controllers, "cpuset") {
				continue
			}
			for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
				if err := inherit(filepath.Join(parent, file), filepath.Join(dir, file)); err != nil {
					return fmt.Errorf("making the cgroup %s: %w", dir, err)
				}
			}
		}
	}
	return nil
}

// inherit copies a setting of the parent's to a cgroup that has none.
func inherit(from, to string) error {
	if text, err := os.ReadFile(to); err != nil || len(strings.TrimSpace(string(text))) > 0 {
		return err
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o644)
}

// JoinCgroup moves a process, with all its threads, into a cgroup of every hierarchy.
// Its children start there.
func JoinCgroup(path string, pid int) error {
	hierarchies, err := Hierarchies()
	if err != nil {
		return err
	}
	for _, h := range hierarchies {
		file := filepath.Join(h.Path, path, "cgroup.procs")
		if err := os.WriteFile(file, []byte(strconv.Itoa(pid)), 0o644); err != nil {
			return fmt.Errorf("joining a cgroup: %w", err)
		}
	}
	return nil
}

// RemoveCgroup removes a cgroup without processes, and those below it, from every
// hierarchy. The kernel takes a moment to notice that the last process has ended.
func RemoveCgroup(ctx context.Context, path string) error {
	hierarchies, err := Hierarchies()
	if err != nil {
		return err
	}
	for _, h := range hierarchies {
		top := filepath.Join(h.Path, path)
		var last error
		err := poll(ctx, cgroupEnd, func() (bool, error) {
			last = removeTree(top)
			return last == nil, nil
		})
		if err != nil {
			return fmt.Errorf("removing the cgroup %s: %w", top, errors.Join(last, err))
		}
	}
	return nil
}

// removeTree removes folders from the bottom up. A cgroup's files go with it.
func removeTree(top string) error {
	dirs, err := tree(top)
	if err != nil {
		return err
	}
	for _, dir := range slices.Backward(dirs) {
		if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			return &os.PathError{Op: "rmdir", Path: dir, Err: err}
		}
	}
	return nil
}

// tree lists the folders at and below top, parents first; none when it is not there.
func tree(top string) ([]string, error) {
	var dirs []string
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	return dirs, err
}

func (i *Instance) removeCgroup(ctx context.Context) error { return RemoveCgroup(ctx, i.Cgroup()) }

// killCgroup ends every process in the instance's cgroups and waits until they are
// gone. There are none after an orderly end.
func (i *Instance) killCgroup(ctx context.Context) error {
	hierarchies, err := Hierarchies()
	if err != nil {
		return err
	}
	err = poll(ctx, cgroupEnd, func() (bool, error) {
		gone := true
		for _, h := range hierarchies {
			// A process that is frozen takes no signal.
			if slices.Contains(h.Controllers, "freezer") {
				thaw(filepath.Join(h.Path, i.Cgroup()))
			}
			pids, err := processes(filepath.Join(h.Path, i.Cgroup()))
			if err != nil {
				return false, err
			}
			for _, pid := range pids {
				gone = false
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
					return false, fmt.Errorf("killing %d: %w", pid, err)
				}
			}
		}
		return gone, nil
	})
	if err != nil {
		return fmt.Errorf("ending the processes in the cgroup %s: %w", i.Cgroup(), err)
	}
	return nil
}

// thaw lets the processes of cgroups run. It is no error that one is gone.
func thaw(top string) {
	dirs, err := tree(top)
	if err != nil {
		return
	}
	for _, dir := range dirs {
		_ = os.WriteFile(filepath.Join(dir, "freezer.state"), []byte("THAWED"), 0o644)
	}
}

// processes lists those in the cgroups at and below top.
func processes(top string) ([]int, error) {
	dirs, err := tree(top)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, dir := range dirs {
		text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("listing the processes of a cgroup: %w", err)
		}
		for field := range strings.FieldsSeq(string(text)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return nil, fmt.Errorf("listing the processes of the cgroup %s: %w", dir, err)
			}
			// 0 is a process that this namespace does not see.
			if pid > 0 {
				pids = append(pids, pid)
			}
		}
	}
	return pids, nil
}

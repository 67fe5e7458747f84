package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"github.com/mainstay-dev/mainstay/test/cluster/internal/host"
)

// Files that a worker's processes inherit. The locks say that the cluster lives.
const (
	aliveFD = 3 + iota
	instanceFD
	// goFD is where the init process waits for the word that its cgroups and its
	// network are there.
	goFD
)

// Launch starts the init process of the worker in dir and returns when that has
// ended, which is always an error. The init process ends with this one.
func Launch(ctx context.Context, dir string) error {
	config, err := Read(dir)
	if err != nil {
		return err
	}
	syscall.CloseOnExec(aliveFD)
	syscall.CloseOnExec(instanceFD)
	cgroup := config.instance().WorkerCgroup(config.Name)
	// A reboot leaves no cgroups. With those of former pods the kubelet would wait
	// some seconds for each.
	if err := host.RemoveCgroup(ctx, cgroup); err != nil {
		return err
	}
	if err := host.MakeCgroup(filepath.Join(cgroup, systemCgroup)); err != nil {
		return err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("starting the init process of %s: %w", config.Name, err)
	}
	// The kernel ties the init process to the thread that starts it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	init := initCommand(dir, read)
	if err := init.Start(); err != nil {
		return fmt.Errorf("starting the init process of %s: %w", config.Name, err)
	}
	if err := join(ctx, config, init.Process.Pid, write); err != nil {
		return errors.Join(err, init.Process.Kill(), init.Wait())
	}
	err = init.Wait()
	_ = os.Remove(filepath.Join(dir, pidFile))
	return fmt.Errorf("the init process of %s has ended: %w", config.Name, err)
}

// systemCgroup is the cgroup, in the worker's, of what is not a pod.
const systemCgroup = "system"

// initCommand is this program's other verb, in new namespaces.
func initCommand(dir string, word *os.File) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", "init", dir)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{os.NewFile(aliveFD, "alive"), os.NewFile(instanceFD, "instance"), word}
	// No process group of its own: it stays in the cluster's, which a group id inside
	// the new namespace could not name.
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL,
	}
	return cmd
}

// join gives the init process what only this namespace can, and the word to go on.
func join(ctx context.Context, config Config, pid int, word *os.File) error {
	instance := config.instance()
	if err := host.JoinCgroup(filepath.Join(instance.WorkerCgroup(config.Name), systemCgroup), pid); err != nil {
		return err
	}
	if err := instance.Connect(ctx, config.Number, pid); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(config.Dir, pidFile), []byte(strconv.Itoa(pid)), 0o644); err != nil {
		return fmt.Errorf("recording the init process of %s: %w", config.Name, err)
	}
	if _, err := word.WriteString("go\n"); err != nil {
		return fmt.Errorf("giving the init process of %s the word: %w", config.Name, err)
	}
	return word.Close()
}

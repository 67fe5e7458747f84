package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/mainstay-dev/mainstay/test/cluster"
)

const (
	// stopTimeout bounds how long a process may take to stop. The kernel stops it on
	// its next way out of a system call.
	stopTimeout = 10 * time.Second
	stopPoll    = 10 * time.Millisecond
)

// stopped is a fault that stops a controller's processes. It remembers nothing: what
// is stopped, the kernel tells.
type stopped struct{ mounts string }

func (s stopped) supported() error {
	return needHierarchy(s.mounts, "memory", "cgroup.procs", "CONFIG_MEMCG_V1")
}

func (s stopped) inject(ctx context.Context, t Target) error {
	top, err := workerCgroup(t, s.mounts, "memory")
	if err != nil {
		return err
	}
	running, err := runningOn(ctx, t)
	if err != nil {
		return err
	}
	var ids []int
	for _, c := range running {
		dir, err := cgroupOf(top, c.id)
		if err != nil {
			return err
		}
		in, err := processesIn(dir)
		if err != nil {
			return err
		}
		ids = append(ids, in...)
	}
	if len(ids) == 0 {
		return errors.New("no process of it runs there")
	}
	for _, id := range ids {
		if err := signal(id, syscall.SIGSTOP); err != nil {
			return err
		}
	}
	return awaitStopped(ctx, ids)
}

// heal lets every stopped process of the worker go on, also one whose pod has been
// deleted meanwhile. Nobody else stops processes there.
func (s stopped) heal(_ context.Context, t Target) error {
	top, err := workerCgroup(t, s.mounts, "memory")
	if err != nil {
		return err
	}
	return eachCgroup(top, func(dir string) error {
		ids, err := processesIn(dir)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if state, err := processState(id); err != nil || state != "T" {
				continue // ended, or runs
			}
			if err := signal(id, syscall.SIGCONT); err != nil {
				return err
			}
		}
		return nil
	})
}

func awaitStopped(ctx context.Context, ids []int) error {
	running := 0
	err := wait.PollUntilContextTimeout(ctx, stopPoll, stopTimeout, true, func(context.Context) (bool, error) {
		running = 0
		for _, id := range ids {
			if !cluster.Stopped(id) {
				running++
			}
		}
		return running == 0, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for its processes to stop: %d still run: %w", running, err)
	}
	return nil
}

// signal sends a signal. A process that has ended takes none, which is no error.
func signal(id int, sig syscall.Signal) error {
	if err := syscall.Kill(id, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("sending %s to process %d: %w", sig, id, err)
	}
	return nil
}

// processState is the letter that the kernel gives a process's state: T is stopped.
func processState(id int) (string, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(id) + "/stat")
	if err != nil {
		return "", fmt.Errorf("reading a process's state: %w", err)
	}
	// The name, in brackets, may have blanks and brackets of its own.
	line := string(text)
	fields := strings.Fields(line[strings.LastIndex(line, ")")+1:])
	if len(fields) == 0 {
		return "", fmt.Errorf("reading the state of process %d: %q has none", id, line)
	}
	return fields[0], nil
}

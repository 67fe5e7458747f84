package faults

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"syscall"

	"github.com/mainstay-dev/mainstay/test/cluster"
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
	for _, id := range ids {
		if err := cluster.AwaitStopped(ctx, id); err != nil {
			return err
		}
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

func processState(id int) (string, error) {
	return cluster.ProcessState("/proc/" + strconv.Itoa(id) + "/stat")
}

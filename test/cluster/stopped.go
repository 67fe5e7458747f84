package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// stopTimeout bounds how long a process may take to stop. The kernel stops each
	// thread on its next way out of a system call.
	stopTimeout = 10 * time.Second
	stopPoll    = 5 * time.Millisecond
)

// AwaitStopped returns when every thread of a process is stopped, as by SIGSTOP: the first
// one that takes the signal stops the others, which run until it gets a processor. A process
// that has ended is stopped, too, and so is every one on a system without /proc.
func AwaitStopped(ctx context.Context, id int) error {
	err := wait.PollUntilContextTimeout(ctx, stopPoll, stopTimeout, true, func(context.Context) (bool, error) {
		files, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(id), "task", "*", "stat"))
		for _, file := range files {
			if state, err := ProcessState(file); err == nil && state != "T" {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for process %d to stop: %w", id, err)
	}
	return nil
}

// ProcessState is the letter that the kernel gives the state of a process or thread, in its
// file stat below /proc: T is stopped. It fails for one that has ended.
func ProcessState(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading a process's state: %w", err)
	}
	// The name, in brackets, may have blanks and brackets of its own.
	line := string(text)
	fields := strings.Fields(line[strings.LastIndex(line, ")")+1:])
	if len(fields) == 0 {
		return "", fmt.Errorf("reading a process's state: %q has none", line)
	}
	return fields[0], nil
}

// pause stops the process, and returns when it is.
func (p *process) pause() error {
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	if err := AwaitStopped(context.Background(), p.cmd.Process.Pid); err != nil {
		return fmt.Errorf("pausing %s: %w", p.name, err)
	}
	return nil
}

package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// stopTimeout bounds how long a process may take to stop. The kernel stops each
	// thread on its next way out of a system call.
	stopTimeout = 10 * time.Second
	stopPoll    = 5 * time.Millisecond
)

// Stopped reports whether every thread of a process is stopped, as by SIGSTOP: the first
// one that takes the signal stops the others, which run until it gets a processor. A process
// that has ended is stopped, too, and so is every one on a system without /proc.
func Stopped(id int) bool {
	files, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(id), "task", "*", "stat"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// The name, in brackets, may have blanks and brackets of its own.
		line := string(text)
		if state := strings.Fields(line[strings.LastIndex(line, ")")+1:]); len(state) > 0 && state[0] != "T" {
			return false
		}
	}
	return true
}

// pause stops the process, and returns when it is.
func (p *process) pause() error {
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	over, look := time.NewTimer(stopTimeout), time.NewTicker(stopPoll)
	defer over.Stop()
	defer look.Stop()
	for !Stopped(p.cmd.Process.Pid) {
		select {
		case <-over.C:
			return fmt.Errorf("%s still runs %s after SIGSTOP", p.name, stopTimeout)
		case <-look.C:
		}
	}
	return nil
}

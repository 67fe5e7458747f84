package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Bounds of what an error repeats of a log.
const (
	tailLines = 20
	tailBytes = 16 << 10
	tailWidth = 300
)

// process is one component of the cluster.
type process struct {
	name    string
	path    string
	args    []string
	logPath string
	logs    []string // of programs that it runs

	cmd *exec.Cmd
	// done is closed when the process has ended.
	done chan struct{}
	// expected is set before the process is ended on purpose.
	expected atomic.Bool
}

// start runs a program in the group, with its output appended to <dir>/<name>.log.
func (g *group) start(name, path string, args ...string) (*process, error) {
	p := &process{name: name, path: path, args: args, logPath: filepath.Join(g.dir, name+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	defer func() { _ = log.Close() }()

	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ending {
		return nil, fmt.Errorf("starting %s: the cluster is stopped", name)
	}
	p.cmd = exec.Command(path, args...)
	p.cmd.Dir = g.dir
	// A component reads no configuration of the user's, and reaches nothing that takes a
	// proxy.
	p.cmd.Env = append(os.Environ(), "HOME="+g.dir, "KUBECONFIG=", "NO_PROXY=*")
	p.cmd.Stdout, p.cmd.Stderr = log, log
	g.adopt(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	g.processes = append(g.processes, p)
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // the state says the same
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.ending {
			p.expected.Store(true)
		}
	}()
	return p, nil
}

// running reports whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

func (p *process) died() bool { return !p.running() && !p.expected.Load() }

// stop ends the process with SIGTERM. One that takes longer than grace is killed, which
// is an error.
func (p *process) stop(grace time.Duration) error {
	p.expected.Store(true)
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		return errors.Join(fmt.Errorf("%s did not end within %s of SIGTERM and is killed", p.name, grace), p.kill())
	}
}

// kill ends the process with SIGKILL and returns when it is gone.
func (p *process) kill() error {
	p.expected.Store(true)
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return nil
}

// signal sends sig. A process that has ended takes none, which is no error.
func (p *process) signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && p.running() {
		// It may have ended between the two looks.
		select {
		case <-p.done:
		case <-time.After(time.Second):
			return fmt.Errorf("sending %s to %s: %w", sig, p.name, err)
		}
	}
	return nil
}

// failure is an error that names the component and ends with its log.
func (p *process) failure(what error) error {
	var more strings.Builder
	for _, log := range p.logs {
		_, _ = fmt.Fprintf(&more, "\nlast lines of the log of its %s:\n%s", strings.TrimSuffix(filepath.Base(log), ".log"), tail(log))
	}
	return fmt.Errorf("%s: %w\nlast lines of its log:\n%s%s", p.name, what, tail(p.logPath), more.String())
}

// exit says how the process ended.
func (p *process) exit() error {
	return fmt.Errorf("ended unexpectedly (%s)", p.cmd.ProcessState)
}

// tail returns the last lines of a file.
func tail(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err == nil && info.Size() > tailBytes {
		if _, err := file.Seek(-tailBytes, io.SeekEnd); err != nil {
			return err.Error()
		}
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	for i, line := range lines {
		if len(line) > tailWidth {
			// What is wrong stands at the end of a structured line.
			lines[i] = "… " + strings.ToValidUTF8(line[len(line)-tailWidth:], "")
		}
	}
	return strings.Join(lines, "\n")
}

// adopt makes a command that is not started yet a member of the group.
func (g *group) adopt(cmd *exec.Cmd) {
	cmd.ExtraFiles = g.locks
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: g.id}
}

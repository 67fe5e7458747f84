package node

import (
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"syscall"
	"time"
)

const (
	// restartEvery is how often a component that has ended is started again, and a
	// socket that does not answer yet is tried.
	restartEvery = 500 * time.Millisecond
	// socketEvery is how often a starting component's socket is tried.
	socketEvery = 20 * time.Millisecond
)

// order asks for something of the supervisor, which answers "done" or what is wrong.
type order struct {
	verb, component string
	answer          chan string
}

// service is a component with what the supervisor knows of it.
type service struct {
	Component
	pid     int // 0 when it does not run
	held    bool
	waiting []chan string // for its end
}

// supervisor keeps the components running. One goroutine, that of run, has its state.
type supervisor struct {
	dir      string
	services []*service
	orders   chan order
}

func newSupervisor(config Config) *supervisor {
	s := &supervisor{dir: config.Dir, orders: make(chan order)}
	for _, c := range config.Components {
		s.services = append(s.services, &service{Component: c})
	}
	return s
}

// run starts the components in their order, and again when they end. It also waits
// for the worker's orphans, as a first process has to.
func (s *supervisor) run(ended <-chan os.Signal) error {
	ticker := time.NewTicker(socketEvery)
	defer ticker.Stop()
	starting := true
	for {
		select {
		case <-ended:
			if err := s.reap(); err != nil {
				return err
			}
		case o := <-s.orders:
			s.obey(o)
		case <-ticker.C:
			if ready := s.startAll(); ready && starting {
				starting = false
				ticker.Reset(restartEvery)
			}
		}
	}
}

// startAll starts what should run and does not, up to a component whose socket does
// not answer. It reports whether all run.
func (s *supervisor) startAll() bool {
	for _, v := range s.services {
		if v.held {
			continue
		}
		if v.pid == 0 {
			if err := s.start(v); err != nil {
				log.Printf("starting %s: %v", v.Name, err)
				return false
			}
		}
		if v.Socket != "" && !answers(v.Socket) {
			return false
		}
	}
	return true
}

func answers(socket string) bool {
	conn, err := net.DialTimeout("unix", socket, socketEvery)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// start starts a component. Not by os/exec: there every process is waited for by
// whoever started it, and here by reap.
func (s *supervisor) start(v *service) error {
	file, err := os.OpenFile(Log(s.dir, v.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer func() { _ = null.Close() }()
	v.pid, err = syscall.ForkExec(v.Command[0], v.Command, &syscall.ProcAttr{
		Dir: "/", Env: os.Environ(), Files: []uintptr{null.Fd(), file.Fd(), file.Fd()},
	})
	if err != nil {
		v.pid = 0
		return err
	}
	log.Printf("%s runs as process %d", v.Name, v.pid)
	return nil
}

// reap waits for every process that has ended.
func (s *supervisor) reap() error {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.ECHILD) || err == nil && pid == 0:
			return nil
		case err != nil:
			return fmt.Errorf("waiting for processes: %w", err)
		}
		for _, v := range s.services {
			if v.pid != pid {
				continue
			}
			v.pid = 0
			log.Printf("%s has ended, status %d, signal %d", v.Name, status.ExitStatus(), status.Signal())
			for _, answer := range v.waiting {
				answer <- "done"
			}
			v.waiting = nil
		}
	}
}

func (s *supervisor) obey(o order) {
	for _, v := range s.services {
		if v.Name != o.component {
			continue
		}
		switch o.verb {
		case "hold":
			v.held = true
			if v.pid == 0 {
				o.answer <- "done"
				return
			}
			v.waiting = append(v.waiting, o.answer)
			if err := syscall.Kill(v.pid, syscall.SIGKILL); err != nil {
				log.Printf("killing %s: %v", v.Name, err)
			}
		case "release":
			v.held = false
			if v.pid == 0 {
				if err := s.start(v); err != nil {
					o.answer <- fmt.Sprintf("starting %s: %v", v.Name, err)
					return
				}
			}
			o.answer <- "done"
		default:
			o.answer <- fmt.Sprintf("no order is named %q", o.verb)
		}
		return
	}
	o.answer <- fmt.Sprintf("no component is named %q", o.component)
}

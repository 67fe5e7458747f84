package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/mainstay-dev/mainstay/test/cluster"
)

// The demo's lease timings are short, so that a takeover after a crash takes
// seconds; the package's defaults are 15 s, 10 s and 2 s.
func leaseFlags() []string {
	return []string{
		"--leader-election-lease-duration=6s",
		"--leader-election-renew-deadline=4s",
		"--leader-election-retry-period=1s",
	}
}

// replica is one Mainstay process. It stands for the pod whose name it has.
type replica struct {
	pod  string
	log  string
	cmd  *exec.Cmd
	done chan error
}

func startReplica(c *cluster.Cluster, program, kubeconfig, pod string) (*replica, error) {
	r := &replica{pod: pod, log: filepath.Join(c.Dir(), pod+".log"), done: make(chan error, 1)}
	out, err := os.Create(r.log)
	if err != nil {
		return nil, fmt.Errorf("make the log of replica %s: %w", pod, err)
	}
	args := append([]string{"controller", "--kubeconfig", kubeconfig, "--metrics-addr=0", "--health-addr=0", "--webhook-addr=0"}, leaseFlags()...)
	r.cmd = exec.Command(program, args...)
	r.cmd.Env = append(os.Environ(), "POD_NAME="+pod, "POD_NAMESPACE=mainstay-system")
	r.cmd.Stdout, r.cmd.Stderr = out, out
	c.Adopt(r.cmd)
	if err := r.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start replica %s: %w", pod, err), out.Close())
	}
	go func() {
		r.done <- r.cmd.Wait()
		_ = out.Close()
	}()
	return r, nil
}

// crash ends the process at once, as a node's loss does.
func (r *replica) crash() error {
	if err := r.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill replica %s: %w", r.pod, err)
	}
	<-r.done
	return nil
}

// stop ends the process gracefully, and by force after 10 s.
func (r *replica) stop() {
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	select {
	case <-r.done:
	case <-ctx.Done():
		_ = r.cmd.Process.Kill()
		<-r.done
	}
}

package replicas

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/mainstay-dev/mainstay/test/cluster"
)

const (
	// grace is how long a replica may take to stop; a kubelet has less patience.
	grace = 30 * time.Second
	// restartAfter is the pause before a process that ended by itself is started again.
	restartAfter = time.Second
	// tailBytes bounds what is shown of a log.
	tailBytes = 8 << 10
)

// errEnded is for a process that is not started again.
var errEnded = errors.New("the replica was ended")

// Replica is one Mainstay process. It stands for the pod whose name it has.
type Replica struct {
	set                      *Set
	pod, log                 string
	args                     []string
	metrics, health, webhook string
	line                     *line // to the API server; nil without Pods

	mu     sync.Mutex
	cmd    *exec.Cmd
	ended  bool          // somebody ended it
	starts int           // of the process
	gone   chan struct{} // closed when the process ended for good
}

// Pod is the name of the pod that it stands for.
func (r *Replica) Pod() string { return r.pod }

// Addr is where its webhook listens; empty without one.
func (r *Replica) Addr() string { return r.webhook }

// CutOff has the replica reach the API server no more, which goes on to reach the replica.
// Nobody is told: what is sent waits, and goes through after Reconnect. It takes Pods.
func (r *Replica) CutOff() { r.line.BlackHole() }

// Reconnect undoes CutOff.
func (r *Replica) Reconnect() { r.line.release() }

// Tail is the end of its log.
func (r *Replica) Tail() string {
	text, err := os.ReadFile(r.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-tailBytes):])
}

// Starts counts how often the process was started: more than once where it ended by
// itself.
func (r *Replica) Starts() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.starts
}

// run starts the process, and again when it ends by itself.
func (r *Replica) run() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return errEnded
	}
	out, err := os.OpenFile(r.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the log of replica %s: %w", r.pod, err)
	}
	cmd := exec.Command(r.set.opts.Program, r.args...)
	cmd.Env = append(os.Environ(), "POD_NAME="+r.pod, "POD_NAMESPACE="+Namespace)
	cmd.Stdout, cmd.Stderr = out, out
	r.set.opts.Cluster.Adopt(cmd)
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start replica %s: %w", r.pod, err), out.Close())
	}
	r.cmd = cmd
	r.starts++
	go func() {
		_ = cmd.Wait() // a replica that lost its lease says so
		_ = out.Close()
		if r.ending() {
			close(r.gone)
			return
		}
		time.AfterFunc(restartAfter, r.again)
	}()
	return nil
}

// again starts the process anew, unless somebody has ended the replica meanwhile.
func (r *Replica) again() {
	if r.run() != nil {
		r.end()
		close(r.gone)
	}
}

// end marks the replica as ended.
func (r *Replica) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
}

func (r *Replica) ending() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended
}

// Stop ends the process gracefully, and by force where that takes too long, which is an
// error. The Front hears of it when the replica does, but for its lag.
func (r *Replica) Stop() error {
	r.end()
	if r.set.front != nil {
		r.set.front.terminate(r)
	}
	if err := r.signal(syscall.SIGTERM); err != nil {
		return err
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-r.gone:
		return nil
	case <-timer.C:
		return errors.Join(fmt.Errorf("replica %s did not end within %s of SIGTERM and is killed", r.pod, grace), r.Kill())
	}
}

// Kill ends the process at once, as the loss of its node does. The Front finds out by
// its probe.
func (r *Replica) Kill() error {
	r.end()
	if err := r.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-r.gone
	return nil
}

// Crash ends the process at once, and it starts again: what a kubelet does to one that
// does not answer its liveness probe.
func (r *Replica) Crash() error { return r.signal(syscall.SIGKILL) }

// Pause freezes the process: its connections stay open and nothing answers.
func (r *Replica) Pause() error {
	if err := r.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	r.mu.Lock()
	pid := r.cmd.Process.Pid
	r.mu.Unlock()
	if err := cluster.AwaitStopped(context.Background(), pid); err != nil {
		return fmt.Errorf("pause replica %s: %w", r.pod, err)
	}
	return nil
}

// Resume lets a paused process go on.
func (r *Replica) Resume() error { return r.signal(syscall.SIGCONT) }

// signal sends sig. A process that has ended takes none, which is no error.
func (r *Replica) signal(sig syscall.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %s to replica %s: %w", sig, r.pod, err)
	}
	return nil
}

// CPU is the processor time that the process has used.
func (r *Replica) CPU() (time.Duration, error) {
	r.mu.Lock()
	pid := r.cmd.Process.Pid
	r.mu.Unlock()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read the processor time of replica %s: %w", r.pod, err)
	}
	// The name of the program, in brackets, may have spaces. utime and stime are the
	// 14th and 15th fields, in ticks of 10 ms (proc_pid_stat(5)).
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("read the processor time of replica %s: %d fields", r.pod, len(fields))
	}
	const tick = 10 * time.Millisecond
	var total time.Duration
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the processor time of replica %s: %w", r.pod, err)
		}
		total += time.Duration(ticks) * tick
	}
	return total, nil
}

// Readyz is what the process says of its readiness, with the HTTP status; of one check where
// that is named.
func (r *Replica) Readyz(ctx context.Context, check string) (status int, text string, err error) {
	status, body, err := r.get(ctx, r.health, "/readyz/"+check)
	return status, string(body), err
}

// Metrics are what the process reports, by name.
func (r *Replica) Metrics(ctx context.Context) (map[string]*dto.MetricFamily, error) {
	_, body, err := r.get(ctx, r.metrics, "/metrics")
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("read the metrics of replica %s: %w", r.pod, err)
	}
	return families, nil
}

func (r *Replica) get(ctx context.Context, addr, path string) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, http.NoBody)
	if err != nil {
		return 0, nil, fmt.Errorf("ask replica %s for %s: %w", r.pod, path, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("ask replica %s for %s: %w", r.pod, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if body, err = io.ReadAll(resp.Body); err != nil {
		return 0, nil, fmt.Errorf("ask replica %s for %s: %w", r.pod, path, err)
	}
	return resp.StatusCode, body, nil
}

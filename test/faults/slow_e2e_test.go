//go:build e2e

package faults

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	// burnFor is how long the CPU time of a busy process is measured.
	burnFor = 5 * time.Second
	// slowDelay tells a delayed connection, 500 ms, from one that is not.
	slowDelay = 450 * time.Millisecond
	// tries of a connection, of which the fastest counts: a busy machine makes some
	// slow, and a delay all of them.
	tries = 5
	// lossFor bounds the wait for packets, which leave within two seconds or so.
	lossFor = 30 * time.Second
)

func (b *bench) workerSlow(t *testing.T) {
	if share, throttled := b.burn(t); throttled > 0 {
		t.Errorf("the healthy worker is throttled in %d periods, a busy process gets %.1f %% of a core", throttled, 100*share)
	}
	_, heal := b.inject(t, "worker-slow")

	share, throttled := b.burn(t)
	t.Logf("a busy process gets %.1f %% of a core; the worker is throttled in %d periods of 100 ms", 100*share, throttled)
	// On a busy machine a process has other reasons for getting little.
	if share > 0.08 || throttled < 10 {
		t.Error("want about 5 %, and throttling as the reason")
	}
	if got := b.connectTime(t, sick); got < slowDelay {
		t.Errorf("connecting to the API server takes %s, want 500 ms", got)
	}
	if got := b.connectTime(t, well); got > slowDelay {
		t.Errorf("connecting from another worker takes %s", got)
	}
	b.measureLoss(t)

	heal()
	if got := b.connectTime(t, sick); got > slowDelay {
		t.Errorf("connecting takes %s after Heal", got)
	}
	if share, throttled := b.burn(t); throttled > 0 {
		t.Errorf("the worker is throttled in %d periods after Heal, a busy process gets %.1f %% of a core", throttled, 100*share)
	}
	b.healthy(t)
}

// burn is the share of a core that a busy process of the sick worker gets, and in how
// many periods the worker's quota held it back.
func (b *bench) burn(t *testing.T) (share float64, throttled int64) {
	t.Helper()
	dir, err := workerCgroup(Target{Cluster: b.c, Worker: sick}, cgroupMounts, "cpu")
	if err != nil {
		t.Fatal(err)
	}
	before := throttledPeriods(t, dir)
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "read go; while :; do :; done")
	start, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	err = writeNumber(dir, "cgroup.procs", int64(cmd.Process.Pid))
	_, startErr := start.Write([]byte("\n"))
	<-time.After(burnFor)
	killErr := cmd.Process.Kill()
	_ = cmd.Wait() // it was killed
	if err := errors.Join(err, startErr, killErr); err != nil {
		t.Fatal(err)
	}
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return used.Seconds() / burnFor.Seconds(), throttledPeriods(t, dir) - before
}

// throttledPeriods reads how often a cgroup has used up its quota.
func throttledPeriods(t *testing.T, dir string) int64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "cpu.stat"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "nr_throttled ")
	number, _, _ := strings.Cut(after, "\n")
	periods, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		t.Fatalf("reading %s of %q: %v", dir, text, err)
	}
	return periods
}

// connectTime is how long a worker takes at best to connect to the API server.
func (b *bench) connectTime(t *testing.T, worker string) time.Duration {
	t.Helper()
	best := b.connectOnce(t, worker)
	for range tries - 1 {
		best = min(best, b.connectOnce(t, worker))
	}
	return best
}

func (b *bench) connectOnce(t *testing.T, worker string) time.Duration {
	t.Helper()
	pid, err := b.c.WorkerPID(worker)
	if err != nil {
		t.Fatal(err)
	}
	api, err := url.Parse(b.c.Config().Host)
	if err != nil {
		t.Fatal(err)
	}
	var conn net.Conn
	var took time.Duration
	// The first packets may be the lost ones.
	eventually(t, time.Minute, func(ctx context.Context) string {
		began := time.Now()
		conn, err = dialFrom(ctx, pid, "tcp", net.JoinHostPort(b.c.HostIP(), api.Port()))
		took = time.Since(began)
		if err != nil {
			return err.Error()
		}
		return ""
	})
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	return took
}

// measureLoss sends packets from the sick worker to this machine and counts.
func (b *bench) measureLoss(t *testing.T) {
	t.Helper()
	const sent = 1000
	pid, err := b.c.WorkerPID(sick)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.ListenPacket("udp", net.JoinHostPort(b.c.HostIP(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	// After a pause of this process all that is due arrives at once.
	if err := listener.(*net.UDPConn).SetReadBuffer(4 << 20); err != nil {
		t.Fatal(err)
	}
	conn, err := dialFrom(t.Context(), pid, "udp", listener.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	began := time.Now()
	left := make(chan time.Time, 1)
	go func() {
		for range sent {
			_, _ = conn.Write([]byte("x")) // what does not arrive is counted as lost
			<-time.After(time.Millisecond)
		}
		left <- time.Now()
	}()
	if err := listener.SetReadDeadline(time.Now().Add(lossFor)); err != nil {
		t.Fatal(err)
	}
	got := 0
	var first time.Duration
	// The last packets are there a delay after they left; the rest of the wait is for
	// a machine that is busy.
	go func() {
		select {
		case <-left:
			<-time.After(burnFor)
			_ = listener.SetReadDeadline(time.Now()) // at worst it reads for longer
		case <-t.Context().Done():
		}
	}()
	for buffer := make([]byte, 8); got < sent; got++ {
		if _, _, err := listener.ReadFrom(buffer); err != nil {
			break
		}
		if got == 0 {
			first = time.Since(began)
		}
	}
	t.Logf("%d of %d packets arrived, the first after %s", got, sent, first.Round(time.Millisecond))
	if lost := sent - got; lost < sent/50 || lost > sent/10 {
		t.Errorf("%d of %d packets are lost, want about one in twenty", lost, sent)
	}
	// It may be one of the lost ones, or the machine busy: only too early is wrong.
	if first < slowDelay {
		t.Errorf("the first packet took %s, want 500 ms", first)
	}
}

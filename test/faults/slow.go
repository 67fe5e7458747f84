package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// cpuPeriod is the period of a CPU quota in microseconds; it is the kernel's default.
const cpuPeriod = 100_000

// cpuQuota bounds the CPU time of all that runs on a worker.
type cpuQuota struct {
	mounts  string
	percent int64 // of one core
}

func (q cpuQuota) supported() error {
	return needHierarchy(q.mounts, "cpu", "cpu.cfs_quota_us", "CONFIG_CFS_BANDWIDTH")
}

func (q cpuQuota) inject(_ context.Context, t Target) error {
	dir, err := workerCgroup(t, q.mounts, "cpu")
	if err != nil {
		return err
	}
	if err := writeNumber(dir, "cpu.cfs_period_us", cpuPeriod); err != nil {
		return err
	}
	err = writeNumber(dir, "cpu.cfs_quota_us", cpuPeriod*q.percent/100)
	if errors.Is(err, syscall.EINVAL) {
		// cgroup v1 wants no child to have more than its parent.
		return fmt.Errorf("a pod of the worker has a larger CPU quota, so the worker's kubelet must set none (cpuCFSQuota: false): %w", err)
	}
	return err
}

func (q cpuQuota) heal(_ context.Context, t Target) error {
	dir, err := workerCgroup(t, q.mounts, "cpu")
	if err != nil {
		return err
	}
	// A worker that is off may have no cgroup.
	if err := writeNumber(dir, "cpu.cfs_quota_us", noLimit); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// queueNumber is the netfilter queue of a slow link, in the worker's own namespace.
const queueNumber = 4500

// slowLink delays, and loses some of, the packets that leave a worker. They go
// through a queue to this process, whose verdict comes late: that works alike on
// every kernel with NFQUEUE, and sch_netem, which would do the same, is often not
// built. Without a reader the queue lets packets pass.
type slowLink struct {
	delay time.Duration
	loss  float64 // the share of packets, 0 to 1

	mu    sync.Mutex
	lines map[Target]*delayLine
}

func newSlowLink(delay time.Duration, loss float64) *slowLink {
	return &slowLink{delay: delay, loss: loss, lines: map[Target]*delayLine{}}
}

func (s *slowLink) supported() error {
	if err := tryInNewNetwork("", "iptables", rule("-A", "lo")...); err != nil {
		return fmt.Errorf("kernel option CONFIG_NETFILTER_XT_TARGET_NFQUEUE, and CONFIG_NFT_COMPAT for iptables-nft: %w", err)
	}
	// A queue of this network namespace, which gets no packets. It has one reader
	// only, so two processes that look at the same time need two numbers.
	number := uint16(os.Getpid() & math.MaxUint16)
	line, err := openDelayLine(context.Background(), 0, number, s.delay, s.loss)
	if err != nil {
		return fmt.Errorf("kernel option CONFIG_NETFILTER_NETLINK_QUEUE: %w", err)
	}
	return line.close()
}

// rule is what iptables is told: packets that leave through the device go to the
// queue, or on, when nobody reads it.
func rule(do, device string) []string {
	return []string{
		"-w", "-t", "mangle", do, "POSTROUTING", "-o", device,
		"-j", "NFQUEUE", "--queue-num", strconv.Itoa(queueNumber), "--queue-bypass",
	}
}

func (s *slowLink) inject(ctx context.Context, t Target) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(ctx, t); err != nil {
		return err
	}
	device, err := uplink(ctx, t)
	if err != nil {
		return err
	}
	if there, err := ruled(ctx, t, device); there || err != nil {
		return err
	}
	return inWorker(ctx, t, "iptables", rule("-A", device)...)
}

// open starts the delay line where there is none.
func (s *slowLink) open(ctx context.Context, t Target) error {
	if _, ok := s.lines[t]; ok {
		return nil
	}
	pid, err := t.Cluster.WorkerPID(t.Worker)
	if err != nil {
		return err
	}
	network, err := os.Open("/proc/" + strconv.Itoa(pid) + "/ns/net")
	if err != nil {
		return fmt.Errorf("finding the network of %s: %w", t.Worker, err)
	}
	line, err := openDelayLine(ctx, int(network.Fd()), queueNumber, s.delay, s.loss)
	if err := errors.Join(err, network.Close()); err != nil {
		return err
	}
	s.lines[t] = line
	return nil
}

// heal takes the rule away before the queue's reader, so that the packets in the
// queue arrive.
func (s *slowLink) heal(ctx context.Context, t Target) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.unrule(ctx, t)
	if line, ok := s.lines[t]; ok {
		err = errors.Join(err, line.close())
		delete(s.lines, t)
	}
	return err
}

func (s *slowLink) unrule(ctx context.Context, t Target) error {
	device, err := uplink(ctx, t)
	if err != nil {
		return err
	}
	if there, err := ruled(ctx, t, device); !there || err != nil {
		return err
	}
	return inWorker(ctx, t, "iptables", rule("-D", device)...)
}

// ruled reports whether the worker has the rule. iptables says no with status 1, and
// has others for what went wrong.
func ruled(ctx context.Context, t Target, device string) (bool, error) {
	err := inWorker(ctx, t, "iptables", rule("-C", device)...)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return false, nil
	}
	return err == nil, err
}

// uplink is the name that the worker has for the device that leads out of it.
func uplink(ctx context.Context, t Target) (string, error) {
	cmd, err := t.Cluster.WorkerCommand(ctx, t.Worker, "ip", "-json", "route", "get", t.Cluster.HostIP())
	if err != nil {
		return "", err
	}
	text, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("finding the way out of %s: %w", t.Worker, err)
	}
	var routes []struct {
		Device string `json:"dev"`
	}
	if err := json.Unmarshal(text, &routes); err != nil {
		return "", fmt.Errorf("finding the way out of %s: %w", t.Worker, err)
	}
	if len(routes) == 0 || routes[0].Device == "" {
		return "", fmt.Errorf("finding the way out of %s: no route to %s", t.Worker, t.Cluster.HostIP())
	}
	return routes[0].Device, nil
}

// inWorker runs a program in the worker.
func inWorker(ctx context.Context, t Target, program string, args ...string) error {
	cmd, err := t.Cluster.WorkerCommand(ctx, t.Worker, program, args...)
	if err != nil {
		return err
	}
	return run(cmd)
}

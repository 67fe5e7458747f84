//go:build e2e

package faults

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// healthy waits until all nodes and pods are Ready and everything reaches everything,
// and then looks for what a fault may have left.
func (b *bench) healthy(t *testing.T) {
	t.Helper()
	eventually(t, 2*time.Minute, func(ctx context.Context) string {
		for _, worker := range b.c.Workers() {
			if why := b.ready(ctx, worker); why != "" {
				return why
			}
		}
		return ""
	})
	eventually(t, time.Minute, func(ctx context.Context) string {
		broken := b.broken(ctx)
		if len(broken) > 0 {
			return fmt.Sprint(broken)
		}
		return ""
	})
	for _, worker := range b.c.Workers() {
		for _, left := range b.left(t, worker) {
			t.Errorf("left on %s: %s", worker, left)
		}
	}
}

// left lists what faults have left on a worker.
func (b *bench) left(t *testing.T, worker string) []string {
	t.Helper()
	var left []string
	for line := range strings.Lines(b.output(t, worker, "nft", "list", "tables")) {
		if strings.Contains(line, "mainstay") {
			left = append(left, line)
		}
	}
	for line := range strings.Lines(b.output(t, worker, "iptables-save", "-t", "mangle")) {
		if strings.Contains(line, "NFQUEUE") {
			left = append(left, line)
		}
	}
	if queues := b.output(t, worker, "cat", "/proc/net/netfilter/nfnetlink_queue"); queues != "" {
		left = append(left, "a reader of queue "+queues)
	}
	target := Target{Cluster: b.c, Worker: worker}
	cpu, err := workerCgroup(target, cgroupMounts, "cpu")
	if err != nil {
		t.Fatal(err)
	}
	if quota, err := readNumber(cpu, "cpu.cfs_quota_us"); err != nil || quota != noLimit {
		left = append(left, fmt.Sprintf("CPU quota %d, %v", quota, err))
	}
	return append(left, b.leftInMemory(t, target)...)
}

// leftInMemory lists limits that are not the spec's, and stopped processes.
func (b *bench) leftInMemory(t *testing.T, target Target) []string {
	t.Helper()
	top, err := workerCgroup(target, cgroupMounts, "memory")
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	err = eachCgroup(top, func(dir string) error {
		limit, err := readNumber(dir, limitFile)
		if errors.Is(err, fs.ErrNotExist) || isGone(err) {
			return nil // it went after it was listed
		}
		if err != nil {
			return err
		}
		if limit < 64<<20 {
			left = append(left, fmt.Sprintf("memory limit %d of %s", limit, dir))
		}
		ids, err := processesIn(dir)
		if errors.Is(err, fs.ErrNotExist) || isGone(err) {
			return nil
		}
		for _, id := range ids {
			if state, err := processState(id); err == nil && state == "T" {
				left = append(left, fmt.Sprintf("stopped process %d in %s", id, filepath.Base(dir)))
			}
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return left
}

// output is what a program prints in a worker.
func (b *bench) output(t *testing.T, worker, program string, args ...string) string {
	t.Helper()
	cmd, err := b.c.WorkerCommand(t.Context(), worker, program, args...)
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s in %s: %v", program, worker, err)
	}
	return strings.TrimSpace(string(out))
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/mainstay-dev/mainstay/test/drill/record"
)

// machine says in a few words what the drill runs on. What this system does not tell
// is left out.
func machine() string {
	words := []string{fmt.Sprintf("%d CPUs", runtime.NumCPU())}
	var kib float64
	if content, err := os.ReadFile("/proc/meminfo"); err == nil {
		if _, err := fmt.Sscanf(string(content), "MemTotal: %f kB", &kib); err == nil {
			words = append(words, fmt.Sprintf("%.0f GiB", kib/(1<<20)))
		}
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		words = append(words, "Linux "+strings.TrimSpace(string(release)))
	}
	return strings.Join(words, ", ")
}

// host is where Linux tells what it does.
type host struct{ loadavg, links string }

func thisHost() host { return host{loadavg: "/proc/loadavg", links: "/sys/class/net"} }

// load is how busy the machine is; nil where it does not tell.
func (h host) load() *record.Load {
	average, err := h.average()
	if err != nil {
		return nil
	}
	// Each cluster with real workers has a bridge.
	bridges, err := filepath.Glob(filepath.Join(h.links, "mainstay[0-9]*"))
	if err != nil {
		return nil
	}
	return &record.Load{Before: average, After: average, Clusters: len(bridges)}
}

// average is the load average of one minute.
func (h host) average() (float64, error) {
	content, err := os.ReadFile(h.loadavg)
	if err != nil {
		return 0, fmt.Errorf("reading the load average: %w", err)
	}
	var average float64
	if _, err := fmt.Sscan(string(content), &average); err != nil {
		return 0, fmt.Errorf("reading the load average of %q: %w", content, err)
	}
	return average, nil
}

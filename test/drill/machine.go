package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
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

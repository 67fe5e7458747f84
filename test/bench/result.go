package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// Result is what one benchmark measured.
type Result struct {
	// Name is the benchmark's, and the file's: <name>.json.
	Name string `json:"name"`
	// Metrics are the figures by name, for example "ready" or "evaluate".
	Metrics map[string]Metric `json:"metrics"`
	// Machine is filled in by Write.
	Machine Machine `json:"machine"`
}

// Metric is one figure. Of summarises several runs; a figure that was measured
// once needs only Value and Unit.
type Metric struct {
	// Value is the median where there are several runs.
	Value float64 `json:"value"`
	// Unit is "s", "objects/s", "allocs/op" and the like.
	Unit string `json:"unit"`
	// Runs counts the measurements behind Value. 0 and 1 both mean one.
	Runs int `json:"runs,omitempty"`
	// Min and Max are the extremes of the runs, absent for a single run.
	Min *float64 `json:"min,omitempty"`
	Max *float64 `json:"max,omitempty"`
}

// Machine says where a Result is from.
type Machine struct {
	OS   string `json:"os"`
	Arch string `json:"arch"`
	// CPUs is how many processors the benchmark could use.
	CPUs int    `json:"cpus"`
	Go   string `json:"go"`
}

// Of summarises the values of several runs. The median of an even number of runs
// is the mean of the two in the middle. Without values the Metric is zero.
func Of(unit string, values ...float64) Metric {
	if len(values) == 0 {
		return Metric{Unit: unit}
	}
	sorted := slices.Sorted(slices.Values(values))
	low, high := sorted[0], sorted[len(sorted)-1]
	half := len(sorted) / 2
	median := sorted[half]
	if len(sorted)%2 == 0 {
		median = (sorted[half-1] + sorted[half]) / 2
	}
	return Metric{Value: median, Unit: unit, Runs: len(sorted), Min: &low, Max: &high}
}

// Write writes r to <dir>/<r.Name>.json, making the folder when it is missing and
// replacing the file in one step, so that a reader never sees half of it.
func Write(dir string, r Result) error {
	r.Machine = Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.GOMAXPROCS(0), Go: runtime.Version()}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("encoding benchmark %s: %w", r.Name, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the folder of benchmark %s: %w", r.Name, err)
	}
	path := filepath.Join(dir, r.Name+".json")
	if err := os.WriteFile(path+".tmp", text.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing benchmark %s: %w", r.Name, err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("writing benchmark %s: %w", r.Name, err)
	}
	return nil
}

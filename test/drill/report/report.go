package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/mainstay-dev/mainstay/test/drill/record"
)

// Names of the files that Write makes.
const (
	JSONFile     = "report.json"
	MarkdownFile = "report.md"
	PictureFile  = "stall.svg"
)

// Fault is what the report says of a fault beside its figures.
type Fault struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

// Setting is what the runs were made with and in which order the report lists
// them. A run of a variant, fault or controller that is not listed is left out.
type Setting struct {
	Variants    []string `json:"variants"`
	Faults      []Fault  `json:"faults"`
	Controllers []string `json:"controllers"`
	// Versions of what ran, by name.
	Versions map[string]string `json:"versions"`
	// Machine in a few words.
	Machine string `json:"machine"`
}

// Report is what the drill found.
type Report struct {
	Setting
	// From and To are when the first and the last run began.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Former counts the runs that are left out because the one of the same variant,
	// fault and controller that was measured last had other manifests or programs.
	Former int          `json:"former,omitempty"`
	Cells  []Cell       `json:"cells"`
	Ratios []Ratio      `json:"ratios,omitempty"`
	Runs   []record.Run `json:"runs"`
}

// stock is the variant that all others are compared with.
const stock = "stock"

// New sums up runs.
func New(setting Setting, runs []record.Run) Report {
	r := Report{Setting: setting}
	r.Runs, r.Former = newest(setting.order(runs))
	for i, run := range r.Runs {
		if i == 0 || run.Started.Before(r.From) {
			r.From = run.Started
		}
		if run.Started.After(r.To) {
			r.To = run.Started
		}
	}
	r.Cells = cells(r.Runs)
	// Each variant is compared with those before it, which it has something added to.
	for i, variant := range setting.Variants {
		for _, against := range setting.Variants[:i] {
			r.Ratios = append(r.Ratios, ratios(r.Cells, variant, against)...)
		}
	}
	return r
}

// order returns the runs of what is listed, by variant, fault, controller and
// number.
func (s Setting) order(runs []record.Run) []record.Run {
	place := func(run record.Run) []int {
		controller := slices.Index(s.Controllers, run.Controller)
		if run.Controller == "" {
			controller = len(s.Controllers)
		}
		return []int{
			slices.Index(s.Variants, run.Variant),
			slices.IndexFunc(s.Faults, func(f Fault) bool { return f.Name == run.Fault }),
			controller,
			run.Number,
		}
	}
	out := slices.DeleteFunc(slices.Clone(runs), func(run record.Run) bool {
		return slices.Contains(place(run), -1)
	})
	slices.SortStableFunc(out, func(a, b record.Run) int { return slices.Compare(place(a), place(b)) })
	return out
}

// newest returns the runs of the newest setup of each variant, fault and controller that
// was measured, and how many others there are: a median over two programs is one of
// neither. Where none was measured, it is the newest of all.
func newest(runs []record.Run) (kept []record.Run, former int) {
	last := map[record.Key]record.Run{}
	of := func(run record.Run) record.Key {
		key := run.Key
		key.Number = 0
		return key
	}
	for _, run := range runs {
		known, ok := last[of(run)]
		measured := run.Measured != nil
		if has := known.Measured != nil; !ok || measured && !has || measured == has && run.Started.After(known.Started) {
			last[of(run)] = run
		}
	}
	kept = slices.DeleteFunc(slices.Clone(runs), func(run record.Run) bool { return run.Setup != last[of(run)].Setup })
	return kept, len(runs) - len(kept)
}

// cell returns the one of a variant, fault and controller; its Runs is 0 when
// there is none.
func (r Report) cell(variant, fault, controller string) Cell {
	for _, c := range r.Cells {
		if c.Variant == variant && c.Fault == fault && c.Controller == controller {
			return c
		}
	}
	return Cell{Variant: variant, Fault: fault, Controller: controller}
}

// Write writes the report's files into a folder.
func (r Report) Write(dir string) error {
	content, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return fmt.Errorf("encoding the report: %w", err)
	}
	picture, err := r.Picture()
	if err != nil {
		return err
	}
	return errors.Join(
		writeFile(filepath.Join(dir, JSONFile), append(content, '\n')),
		writeFile(filepath.Join(dir, MarkdownFile), []byte(r.Markdown())),
		writeFile(filepath.Join(dir, PictureFile), picture),
	)
}

// writeFile replaces a file in one step.
func writeFile(path string, content []byte) error {
	part, err := os.CreateTemp(filepath.Dir(path), ".part-")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = part.Write(content)
	if err = errors.Join(err, part.Chmod(0o644), part.Close()); err == nil {
		err = os.Rename(part.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", path, err), os.Remove(part.Name()))
	}
	return nil
}

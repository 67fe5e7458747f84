package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// suffix of a run's file.
const suffix = ".json"

// Store is a folder of runs. Two programs may add to one folder at the same time.
type Store struct{ dir string }

// Open returns the store in a folder, which is made when it is missing.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the folder of the runs: %w", err)
	}
	return &Store{dir: dir}, nil
}

// Put writes a run, in place of an earlier one with its key. A reader sees the old
// file or the new one, never a part.
func (s *Store) Put(run Run) error {
	content, err := json.MarshalIndent(run, "", " ")
	if err != nil {
		return fmt.Errorf("encoding run %s: %w", run.Key, err)
	}
	name := filepath.Join(s.dir, fileName(run.Key))
	part, err := os.CreateTemp(s.dir, ".part-")
	if err != nil {
		return fmt.Errorf("writing run %s: %w", run.Key, err)
	}
	_, err = part.Write(append(content, '\n'))
	if err = errors.Join(err, part.Sync(), part.Close()); err == nil {
		err = os.Rename(part.Name(), name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing run %s: %w", run.Key, err), os.Remove(part.Name()))
	}
	return nil
}

// Get returns the run with a key, and whether there is one.
func (s *Store) Get(key Key) (Run, bool, error) {
	run, err := read(filepath.Join(s.dir, fileName(key)))
	if errors.Is(err, fs.ErrNotExist) {
		return Run{}, false, nil
	}
	if err != nil {
		return Run{}, false, err
	}
	return run, run.Key == key, nil
}

// All returns every run, in the order of their keys.
func (s *Store) All() ([]Run, error) {
	files, err := filepath.Glob(filepath.Join(s.dir, "*"+suffix))
	if err != nil {
		return nil, fmt.Errorf("listing the runs: %w", err)
	}
	runs := make([]Run, 0, len(files))
	for _, file := range files {
		run, err := read(file)
		if err != nil {
			return nil, err
		}
		runs = append(runs, run)
	}
	sort.Slice(runs, func(i, j int) bool { return less(runs[i].Key, runs[j].Key) })
	return runs, nil
}

// Forget removes the runs with these keys.
func (s *Store) Forget(keys ...Key) error {
	for _, key := range keys {
		if err := os.Remove(filepath.Join(s.dir, fileName(key))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forgetting run %s: %w", key, err)
		}
	}
	return nil
}

// Answers reports whether a run need not be made again: it was measured on the same
// setup and was given at least as much time. What the machine cannot produce is asked
// again each time, as that costs nothing.
func (r Run) Answers(setup string, limit time.Duration) bool {
	if r.Setup != setup || r.Measured == nil {
		return false
	}
	return r.CapSeconds >= limit.Seconds()
}

func fileName(key Key) string {
	return strings.ReplaceAll(key.String(), "/", "_") + suffix
}

func read(file string) (Run, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return Run{}, fmt.Errorf("reading a run: %w", err)
	}
	var run Run
	if err := json.Unmarshal(content, &run); err != nil {
		return Run{}, fmt.Errorf("reading run %s: %w", file, err)
	}
	return run, nil
}

func less(a, b Key) bool {
	switch {
	case a.Variant != b.Variant:
		return a.Variant < b.Variant
	case a.Fault != b.Fault:
		return a.Fault < b.Fault
	case a.Controller != b.Controller:
		return a.Controller < b.Controller
	default:
		return a.Number < b.Number
	}
}

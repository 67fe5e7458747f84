package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// step is one thing that the demo shows. do returns what was seen, in a
// sentence.
type step struct {
	name    string
	title   string
	timeout time.Duration
	do      func(ctx context.Context) (string, error)
}

// entry is one step in the timeline.
type entry struct {
	Name    string  `json:"name"`
	Title   string  `json:"title"`
	At      float64 `json:"atSeconds"`
	Took    float64 `json:"tookSeconds"`
	Seen    string  `json:"seen,omitempty"`
	Problem string  `json:"problem,omitempty"`
}

// timeline is what the demo writes down.
type timeline struct {
	Passed  bool    `json:"passed"`
	Seconds float64 `json:"seconds"`
	Steps   []entry `json:"steps"`
}

// story tells the steps as they happen and remembers them.
type story struct {
	out     io.Writer
	start   time.Time
	entries []entry
}

func newStory(out io.Writer, start time.Time) *story {
	return &story{out: out, start: start}
}

func (s *story) elapsed() float64 { return time.Since(s.start).Seconds() }

// say prints a line below the current step.
func (s *story) say(format string, args ...any) {
	for line := range strings.Lines(fmt.Sprintf(format, args...)) {
		_, _ = fmt.Fprintf(s.out, "           %s\n", strings.TrimRight(line, "\n"))
	}
}

func (s *story) play(ctx context.Context, step step) error {
	at := s.elapsed()
	_, _ = fmt.Fprintf(s.out, "[%6.1fs]  %s\n", at, step.title)
	ctx, cancel := context.WithTimeout(ctx, step.timeout)
	defer cancel()
	seen, err := step.do(ctx)
	e := entry{Name: step.name, Title: step.title, At: at, Took: s.elapsed() - at, Seen: seen}
	if err != nil {
		e.Problem = err.Error()
	} else if seen != "" {
		_, _ = fmt.Fprintf(s.out, "[%6.1fs]  - %s\n", s.elapsed(), seen)
	}
	s.entries = append(s.entries, e)
	if err != nil {
		return fmt.Errorf("%s: %w", step.title, err)
	}
	return nil
}

func (s *story) write(path string, failure error) error {
	t := timeline{Passed: failure == nil, Seconds: s.elapsed(), Steps: s.entries}
	content, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the timeline: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("make the folder of the timeline: %w", err)
	}
	if err := os.WriteFile(path, append(content, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the timeline: %w", err)
	}
	verdict := "all steps happened"
	if failure != nil {
		verdict = "not every step happened"
	}
	_, _ = fmt.Fprintf(s.out, "[%6.1fs]  %s; the timeline is in %s\n", s.elapsed(), verdict, path)
	return nil
}

// until asks check again every 200 ms until it is satisfied, fails, or the
// context ends; the error then has what was seen last.
func until(ctx context.Context, check func(ctx context.Context) (done bool, seen string, err error)) (string, error) {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	last := "nothing"
	for {
		done, seen, err := check(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			return "", err
		case err == nil && done:
			return seen, nil
		case err == nil:
			last = seen
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("%w; seen last: %s", context.Cause(ctx), last)
		case <-ticker.C:
		}
	}
}

package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/mainstay-dev/mainstay/test/drill/record"
)

// maxSeen bounds a timeline: something that changes every few seconds tells no more
// by its hundredth change.
const maxSeen = 40

// timeline is the values that things had, one entry for as long as one value lasts.
type timeline struct {
	since time.Time
	seen  []record.Seen
	cut   int
}

// add says that something had a value at a moment. Moments of one thing follow one
// another.
func (t *timeline) add(name, value string, at time.Time) {
	seconds := at.Sub(t.since).Seconds()
	for i, s := range slices.Backward(t.seen) {
		if s.Name != name {
			continue
		}
		// The old value lasted until somebody looked again.
		t.seen[i].To = seconds
		if s.Value == value {
			return
		}
		break
	}
	if len(t.seen) == maxSeen {
		t.cut++
		return
	}
	t.seen = append(t.seen, record.Seen{Name: name, Value: value, From: seconds, To: seconds})
}

// notes says what was left out.
func (t *timeline) notes(what string) []string {
	if t.cut == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s: %d further changes were left out", what, t.cut)}
}

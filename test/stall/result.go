package stall

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// Seconds is a time in a report: a number of seconds, to the millisecond.
type Seconds time.Duration

var (
	_ json.Marshaler   = Seconds(0)
	_ json.Unmarshaler = (*Seconds)(nil)
)

// Duration is the time as Go has it.
func (s Seconds) Duration() time.Duration { return time.Duration(s) }

// String is the time to a tenth of a second, such as 16.4 s.
func (s Seconds) String() string {
	return strconv.FormatFloat(time.Duration(s).Seconds(), 'f', 1, 64) + " s"
}

// MarshalJSON writes a number.
func (s Seconds) MarshalJSON() ([]byte, error) {
	ms := time.Duration(s).Round(time.Millisecond).Milliseconds()
	return strconv.AppendFloat(nil, float64(ms)/1000, 'f', -1, 64), nil
}

// UnmarshalJSON reads a number.
func (s *Seconds) UnmarshalJSON(text []byte) error {
	var f float64
	if err := json.Unmarshal(text, &f); err != nil {
		return err
	}
	*s = Seconds(math.Round(f * float64(time.Second)))
	return nil
}

// Result is what one fault did to reconciliation.
type Result struct {
	// Recovered tells whether a commit made after the fault became live while it was
	// observed, and something new still became live in the last MaxGap of it.
	Recovered bool `json:"recovered"`
	// Stall is the time from the fault to the first commit made after it being live.
	// It is nil when that was not seen, and when nothing became live any more at the
	// end: a run that did not recover has no figure.
	Stall *Seconds `json:"stallSeconds"`
	// FirstCommit is when, since the fault, the first commit after it was made: no
	// stall can be shorter.
	FirstCommit Seconds `json:"firstCommitSeconds,omitempty"`
	// Uncertainty is how much shorter the stall can have been, because the cluster
	// could not be looked at just before. It is zero with an API server that answers.
	Uncertainty Seconds `json:"uncertaintySeconds"`
	// LongestGap is the longest time between two successive moments at which
	// something became live, between fault and end; both of them count as such.
	LongestGap Seconds `json:"longestGapSeconds"`
	// LastGapEnd is when, since the fault, the last gap longer than MaxGap was over.
	// Zero without such a gap; Observed when it was not over.
	LastGapEnd Seconds `json:"lastGapEndSeconds,omitempty"`
	// Observed is the time from the fault to the end of the observation.
	Observed Seconds `json:"observedSeconds"`
	// Blind is for how much of it the cluster could not be looked at.
	Blind Seconds `json:"blindSeconds"`
	// Commits is how many were made after the fault.
	Commits int `json:"commits"`
	// Baseline is the lag of the commits before the fault.
	Baseline Lag `json:"baseline"`
	// Curve is the age of the newest live commit over the time since the fault. It
	// starts at the beginning of the baseline, with negative times.
	Curve []Point `json:"curve"`
}

// Lag is the time from a commit to its being live, over several commits.
type Lag struct {
	// Commits is how many were made.
	Commits int `json:"commits"`
	// Live is how many of them were live at the end of the observation. The figures
	// are of these.
	Live   int     `json:"live"`
	Median Seconds `json:"medianSeconds"`
	Max    Seconds `json:"maxSeconds"`
}

// Point of a curve.
type Point struct {
	// T is the time since the fault.
	T Seconds `json:"t"`
	// Age is the time since the newest live commit was made. It grows with T and
	// falls where something became live: two points have that T.
	Age Seconds `json:"age"`
}

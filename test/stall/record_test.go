package stall

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRecordIsBounded(t *testing.T) {
	t.Parallel()
	r := newRecord(0)
	const more = 100
	for i := range int64(maxSamples + more) {
		at := time.Duration(i) * time.Second
		r.committed(Commit{Sequence: i + 1, At: at})
		r.lose()
		r.saw(i+1, at+time.Millisecond)
	}
	got := r.samples(0)
	if len(got.Commits) != maxSamples || len(got.Lives) != maxSamples || len(got.Blind) != maxSamples {
		t.Errorf("kept %d commits, %d lives, %d spans, want %d of each", len(got.Commits), len(got.Lives), len(got.Blind), maxSamples)
	}
	if want := (more-1)*time.Second + time.Millisecond; got.From != want {
		t.Errorf("complete from %s, want %s", got.From, want)
	}
	if want := (Commit{Sequence: more + 1, At: more * time.Second}); got.Commits[0] != want {
		t.Errorf("oldest = %+v, want %+v", got.Commits[0], want)
	}
}

func TestLooksThatWereNotMadeSeeNothing(t *testing.T) {
	t.Parallel()
	r := newRecord(0)
	r.saw(1, time.Second)
	r.saw(2, 4*time.Second) // one list that took long
	r.saw(3, 12*time.Second)
	want := Samples{
		Lives:  []Live{{Sequence: 1, At: time.Second}, {Sequence: 2, At: 4 * time.Second}, {Sequence: 3, At: 12 * time.Second, Unseen: 8 * time.Second}},
		Looked: 12 * time.Second,
		Blind:  []Span{{From: 4 * time.Second, To: 12 * time.Second}, {From: 12 * time.Second, To: 16 * time.Second}},
	}
	if diff := cmp.Diff(want, r.samples(16*time.Second)); diff != "" {
		t.Errorf("samples (-want +got):\n%s", diff)
	}
}

func TestRecordKeepsWhatIsNew(t *testing.T) {
	t.Parallel()
	r := newRecord(10)
	r.committed(Commit{Sequence: 11, At: 1})
	r.saw(0, 2)  // no ConfigMap
	r.saw(10, 3) // of a meter before
	r.lose()
	r.lose()
	r.saw(11, 9)
	r.saw(11, 10)
	r.saw(10, 11) // a list that is late
	r.lose()
	want := Samples{
		Commits: []Commit{{Sequence: 11, At: 1}},
		Lives:   []Live{{Sequence: 11, At: 9, Unseen: 6}},
		Looked:  11,
		Blind:   []Span{{From: 3, To: 9}, {From: 11, To: 15}},
	}
	if diff := cmp.Diff(want, r.samples(15)); diff != "" {
		t.Errorf("samples (-want +got):\n%s", diff)
	}
}

package health

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	testclock "k8s.io/utils/clock/testing"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// bed is a replica whose surroundings a test sets.
type bed struct {
	*Health
	clock   *testclock.FakeClock
	heard   *Heard
	drainer *Drainer
	server  *httptest.Server

	wedged atomic.Bool // whether its server is
	deny   atomic.Bool // whether it denies itself
	asked  atomic.Int32
	api    atomic.Bool // whether the API server answers
	cert   error
	peers  []string
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{clock: testclock.NewFakeClock(start), drainer: &Drainer{}}
	b.api.Store(true)
	b.heard = NewHeard(b.clock)
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+PathSelfReview, func(w http.ResponseWriter, req *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(req.Body).Decode(&review); err != nil || review.Request == nil || b.wedged.Load() {
			http.Error(w, "wedged", http.StatusInternalServerError)
			return
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: !b.deny.Load()}
		review.Request = nil
		_ = json.NewEncoder(w).Encode(review)
	})
	b.server = httptest.NewTLSServer(mux)
	t.Cleanup(b.server.Close)
	b.Health = New(Options{
		Clock: b.clock, Heard: b.heard,
		Ask: func(context.Context) error {
			b.asked.Add(1)
			if !b.api.Load() {
				return errors.New("i/o timeout")
			}
			b.heard.note()
			return nil
		},
		Client: b.server.Client, Self: strings.TrimPrefix(b.server.URL, "https://"),
		Peers:       func(context.Context) ([]string, error) { return b.peers, nil },
		Certificate: func() error { return b.cert },
		Drainer:     b.drainer, Log: logr.Discard(),
	})
	mux.Handle("GET "+PathHeard, b.Health)
	return b
}

// round asks all questions once.
func (b *bed) round(ctx context.Context) {
	b.reviewSelf(ctx)
	b.askAPIServer(ctx)
	b.askPeers(ctx)
}

// peer adds another replica, and returns it.
func (b *bed) peer(t *testing.T) *bed {
	t.Helper()
	p := newBed(t)
	p.clock, p.opts.Clock, p.heard.clock, p.heard.begun = b.clock, b.clock, b.clock, start
	b.peers = append(b.peers, strings.TrimPrefix(p.server.URL, "https://"))
	return p
}

func wantReady(t *testing.T, b *bed, want string) {
	t.Helper()
	got := ""
	if err := b.Check(nil); err != nil {
		got = err.Error()
	}
	if want == "" && got != "" || !strings.Contains(got, want) {
		t.Errorf("ready: %q, want %q", got, want)
	}
}

func TestReviews(t *testing.T) {
	t.Parallel()
	const failed = "failed for a reason of this replica's own"
	type batch struct {
		n     int
		own   bool
		after time.Duration
	}
	tests := map[string]struct {
		batches []batch
		then    time.Duration
		want    string
	}{
		"none":                    {},
		"all well":                {batches: []batch{{n: 100}}},
		"too few to say":          {batches: []batch{{n: 9, own: true}}},
		"ten of ten":              {batches: []batch{{n: 10, own: true}}, want: "10 of the last 10 reviews " + failed},
		"half":                    {batches: []batch{{n: 50, own: true}, {n: 50}}},
		"more than half":          {batches: []batch{{n: 51, own: true}, {n: 49}}, want: "51 of the last 100 reviews " + failed},
		"the latest hundred":      {batches: []batch{{n: 100, own: true}, {n: 100}}},
		"those are over":          {batches: []batch{{n: 100, own: true}}, then: 31 * time.Second},
		"too few that are recent": {batches: []batch{{n: 91, own: true}, {n: 9, own: true, after: 31 * time.Second}}},
		"only recent ones count": {
			batches: []batch{{n: 50}, {n: 10, own: true, after: 31 * time.Second}}, want: "10 of the last 10 reviews " + failed,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			for _, batch := range tc.batches {
				b.clock.Step(batch.after)
				for range batch.n {
					b.Reviewed(batch.own)
				}
			}
			b.clock.Step(tc.then)
			b.round(t.Context())
			wantReady(t, b, tc.want)
		})
	}
}

func TestSelfReview(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	wantReady(t, b, "no review of its own was answered for 6s: none was sent yet")
	b.round(t.Context())
	wantReady(t, b, "")

	b.wedged.Store(true)
	for range 3 {
		b.clock.Step(interval)
		b.round(t.Context())
		wantReady(t, b, "") // two may be lost
	}
	b.clock.Step(interval)
	b.round(t.Context())
	wantReady(t, b, "no review of its own was answered for 6s: the answer was 500 Internal Server Error")

	b.wedged.Store(false)
	b.clock.Step(interval)
	b.round(t.Context())
	wantReady(t, b, "")

	// It was paused.
	b.clock.Step(selfWithin + time.Second)
	if err := b.Check(nil); err == nil || err.Error() != "no review of its own was answered for 6s" {
		t.Errorf("after a pause: %v", err)
	}
	b.deny.Store(true)
	b.round(t.Context())
	wantReady(t, b, "it was not allowed")
	b.deny.Store(false)
	b.server.Close()
	b.round(t.Context())
	wantReady(t, b, "no review of its own was answered for 6s: Post ")
}

func TestCertificateAndDraining(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.round(t.Context())
	b.cert = errors.New("not all API servers trust it")
	wantReady(t, b, "not all API servers trust it")
	b.cert = nil
	wantReady(t, b, "")
	b.drainer.Drain()
	wantReady(t, b, "this replica is about to stop")
}

func TestSilentAPIServer(t *testing.T) {
	t.Parallel()
	const missed = "the API server is silent here for more than 15s, and another replica hears it"
	tests := map[string]struct {
		// peers are set up when this replica has heard nothing for 16 s.
		peers []func(p *bed)
		want  string
	}{
		"nobody else":                 {},
		"another one hears it":        {peers: []func(*bed){func(*bed) {}}, want: missed},
		"another one does not":        {peers: []func(*bed){func(p *bed) { p.heard.last.Store(0) }}},
		"another one did a while ago": {peers: []func(*bed){func(p *bed) { p.heard.last.Store(int64(8 * time.Second)) }}},
		"one of three does": {peers: []func(*bed){
			func(p *bed) { p.heard.last.Store(0) },
			func(p *bed) { p.server.Close() },
			func(*bed) {},
		}, want: missed},
		"another one is gone":            {peers: []func(*bed){func(p *bed) { p.server.Close() }}},
		"another one is about to stop":   {peers: []func(*bed){func(p *bed) { p.drainer.Drain() }}},
		"another one is wedged":          {peers: []func(*bed){func(p *bed) { p.reviewed = time.Time{} }}},
		"another one has no certificate": {peers: []func(*bed){func(p *bed) { p.cert = errors.New("expired") }}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			b.api.Store(false)
			b.clock.Step(heardWithin + time.Second)
			for _, set := range tc.peers {
				p := b.peer(t)
				p.heard.note()
				p.reviewSelf(t.Context())
				set(p)
			}
			b.round(t.Context())
			wantReady(t, b, tc.want)
			if got := b.asked.Load(); got != 1 {
				t.Errorf("asked the API server %d times, want once", got)
			}
			// It answers again.
			b.api.Store(true)
			b.askAPIServer(t.Context())
			wantReady(t, b, "")
		})
	}
}

// TestOutageTakesNobodyOut has the API server go away for everybody.
func TestOutageTakesNobodyOut(t *testing.T) {
	t.Parallel()
	for _, apart := range []time.Duration{0, time.Second, 3 * time.Second, 5 * time.Second} {
		a := newBed(t)
		b := a.peer(t)
		b.peers = []string{strings.TrimPrefix(a.server.URL, "https://")}
		a.api.Store(false)
		b.api.Store(false)
		a.heard.note()
		a.clock.Step(apart) // b heard it this much later
		b.heard.note()
		for range 120 {
			a.clock.Step(time.Second / 2)
			a.round(t.Context())
			b.round(t.Context())
			wantReady(t, a, "")
			wantReady(t, b, "")
		}
	}
}

func TestTheAPIServerIsAskedOnlyWhenItIsSilent(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	transport := b.heard.Wrap(roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusForbidden, Body: http.NoBody}, nil
	}))
	failing := b.heard.Wrap(roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("i/o timeout") }))
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	for range 10 {
		b.clock.Step(interval)
		if resp, err := transport.RoundTrip(req); err != nil || resp.Body.Close() != nil {
			t.Fatal(err)
		}
		b.round(t.Context())
	}
	if got := b.asked.Load(); got != 0 {
		t.Errorf("asked %d times while it answers others", got)
	}
	b.clock.Step(4 * time.Second)
	if _, err := failing.RoundTrip(req); err == nil { //nolint:bodyclose // there is none
		t.Fatal("no error")
	}
	b.round(t.Context())
	if got := b.asked.Load(); got != 1 {
		t.Errorf("asked %d times after 4 s of silence, want once", got)
	}
}

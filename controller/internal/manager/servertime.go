package manager

import (
	"net/http"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
)

// tolerance is the difference between this machine's clock and the API
// server's that is taken for none: its Date header counts whole seconds, and
// its answer takes a while.
const tolerance = 2 * time.Second

// serverTime is the API server's clock, as told from the Date of its answers.
// Ages of claims and of Leases are counted by it, so that a machine whose clock
// is off by a minute neither gives up fresh claims nor takes every Lease for
// expired.
type serverTime struct {
	clock.WithTicker
	offset atomic.Int64 // nanoseconds by which the API server is ahead
}

// Now is the API server's time.
func (s *serverTime) Now() time.Time {
	return s.WithTicker.Now().Add(time.Duration(s.offset.Load()))
}

// Since is the time that has passed for the API server.
func (s *serverTime) Since(t time.Time) time.Duration {
	return s.Now().Sub(t)
}

// listen has the clock follow the answers to a client.
func (s *serverTime) listen(cfg *rest.Config) {
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			sent := s.WithTicker.Now()
			resp, err := next.RoundTrip(req)
			if err == nil {
				s.heard(resp.Header.Get("Date"), sent, s.WithTicker.Now())
			}
			return resp, err
		})
	})
}

// heard compares an answer's Date with the middle of the time that it took. A
// slow answer says little and is passed over.
func (s *serverTime) heard(date string, sent, received time.Time) {
	took := received.Sub(sent)
	at, err := http.ParseTime(date)
	if err != nil || took > tolerance {
		return
	}
	offset := at.Add(time.Second / 2).Sub(sent.Add(took / 2))
	if offset.Abs() <= tolerance {
		offset = 0
	}
	s.offset.Store(int64(offset))
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip sends the request.
func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

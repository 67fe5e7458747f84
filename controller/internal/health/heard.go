package health

import (
	"net/http"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"
)

// Heard knows when the API server answered last.
type Heard struct {
	clock clock.PassiveClock
	begun time.Time
	last  atomic.Int64 // nanoseconds since begun
}

// NewHeard returns one that takes now for the last answer.
func NewHeard(clock clock.PassiveClock) *Heard {
	return &Heard{clock: clock, begun: clock.Now()}
}

func (h *Heard) note() { h.last.Store(int64(h.clock.Since(h.begun))) }

// silence is how long the API server has not answered.
func (h *Heard) silence() time.Duration {
	return h.clock.Since(h.begun) - time.Duration(h.last.Load())
}

// Wrap notes every answer that comes through a transport, whatever it says. It fits
// rest.Config's Wrap.
func (h *Heard) Wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(req)
		if err == nil {
			h.note()
		}
		return resp, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip sends the request.
func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

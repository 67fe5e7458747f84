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
	last  atomic.Int64 // Unix nanoseconds
}

// NewHeard returns one that takes now for the last answer.
func NewHeard(clock clock.PassiveClock) *Heard {
	h := &Heard{clock: clock}
	h.note()
	return h
}

func (h *Heard) note() { h.last.Store(h.clock.Now().UnixNano()) }

// silence is how long the API server has not answered.
func (h *Heard) silence() time.Duration {
	return h.clock.Now().Sub(time.Unix(0, h.last.Load()))
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

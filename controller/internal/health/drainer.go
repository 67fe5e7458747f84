package health

import (
	"errors"
	"net/http"
	"sync/atomic"
)

// Drainer has callers leave a replica that is about to stop, in two steps: the replica is
// not ready, so that nobody new comes, and then those who are there are sent away. Its
// methods may be called from several goroutines; the zero value does neither.
type Drainer struct {
	draining, sending atomic.Bool
}

// Drain begins, for good.
func (d *Drainer) Drain() { d.draining.Store(true) }

// SendAway has callers connect anew. It is for when the Service has heard of Drain: who is
// sent away before that comes back, with a handshake for each request.
func (d *Drainer) SendAway() { d.sending.Store(true) }

// Check returns an error while draining.
func (d *Drainer) Check() error {
	if d.draining.Load() {
		return errors.New("this replica is about to stop")
	}
	return nil
}

// Middleware serves as next does. It sends callers away once it is to: API servers keep a
// connection for as long as it lasts, whatever became of the Service meanwhile. On HTTP/2
// net/http sends GOAWAY for it.
func (d *Drainer) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if d.sending.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, req)
	})
}

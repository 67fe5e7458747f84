package health

import (
	"errors"
	"net/http"
	"sync/atomic"
)

// Drainer has callers leave a replica that is about to stop. Its methods may be called
// from several goroutines; the zero value does not drain.
type Drainer struct {
	draining atomic.Bool
}

// Drain begins, for good.
func (d *Drainer) Drain() { d.draining.Store(true) }

// Check returns an error while draining.
func (d *Drainer) Check() error {
	if d.draining.Load() {
		return errors.New("this replica is about to stop")
	}
	return nil
}

// Middleware serves as next does. While draining it asks the caller to connect anew,
// which leads to another replica: API servers keep a connection for as long as it lasts,
// whatever became of the Service meanwhile. On HTTP/2 net/http sends GOAWAY for it.
func (d *Drainer) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if d.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, req)
	})
}

package gitserver

import (
	"fmt"
	"io"
	stdlog "log"
	"net/http"
	"sync"
	"time"
)

// log writes whole lines of concurrent requests, one after the other.
type log struct {
	mu  sync.Mutex
	out io.Writer
}

var _ io.Writer = (*log)(nil)

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

func (l *log) logger() *stdlog.Logger { return stdlog.New(l, "", 0) }

// requests writes a line for each request when it is answered.
func (l *log) requests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		seen := &answer{ResponseWriter: w, code: http.StatusOK}
		next.ServeHTTP(seen, r)
		// A log that cannot be written is no reason to fail a request.
		_, _ = fmt.Fprintf(l, "%s %s %s %s %d %s\n",
			began.UTC().Format(time.RFC3339Nano), r.RemoteAddr, r.Method, r.URL, seen.code, time.Since(began).Round(time.Millisecond))
	})
}

// answer remembers the code that was answered.
type answer struct {
	http.ResponseWriter

	code int
}

func (a *answer) WriteHeader(code int) {
	a.code = code
	a.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController find what the writer can do.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

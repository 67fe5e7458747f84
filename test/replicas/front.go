package replicas

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// As the Deployment's readinessProbe.
const (
	probeEvery    = time.Second
	probeTimeout  = time.Second
	probeFailures = 2
)

// Front is a TCP proxy that stands for the Service of the webhook. A new connection goes
// to the next replica whose /readyz answers; without any it is reset. What a Service does
// not do, a Front does not either: a connection stays where it is, also when its replica
// is not ready any more.
type Front struct {
	*line

	lag   time.Duration
	http2 bool

	mu       sync.Mutex
	backends []*backend
	next     int
	refusing bool
	diverted string // where everything goes instead, if anywhere
}

// backend is a replica as the Front sees it.
type backend struct {
	replica     *Replica
	ready       bool
	failures    int
	terminating bool
}

func newFront(lag time.Duration, http2 bool) (*Front, error) {
	f := &Front{lag: lag, http2: http2}
	var err error
	if f.line, err = newLine(f.choose); err != nil {
		return nil, fmt.Errorf("start the front: %w", err)
	}
	return f, nil
}

// URL is what the API server calls. It speaks HTTP/1.1 to it, as to a Service: HTTP/2 is for
// localhost and loopback addresses, which 0.0.0.0 is none of, and yet leads to them.
func (f *Front) URL() string {
	_, port, _ := net.SplitHostPort(f.Addr())
	host := "0.0.0.0"
	if f.http2 {
		host = "127.0.0.1"
	}
	return "https://" + net.JoinHostPort(host, port)
}

// Refuse has no endpoints: connections are reset, those that there are too.
func (f *Front) Refuse() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refusing = true
	f.reset()
}

// Divert sends everything to another address than the replicas'. Connections that there
// are end.
func (f *Front) Divert(addr string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.diverted = addr
	f.reset()
}

// Restore undoes Refuse, BlackHole and Divert.
func (f *Front) Restore() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.diverted != "" {
		f.reset()
	}
	f.refusing, f.diverted = false, ""
	f.release()
}

// Endpoints counts the replicas that get connections.
func (f *Front) Endpoints() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, b := range f.backends {
		if b.ready {
			n++
		}
	}
	return n
}

func (f *Front) add(r *Replica) {
	b := &backend{replica: r}
	f.mu.Lock()
	f.backends = append(f.backends, b)
	f.mu.Unlock()
	go f.probe(b)
}

// terminate takes a replica out that was told to stop.
func (f *Front) terminate(r *Replica) {
	time.AfterFunc(f.lag, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, b := range f.backends {
			if b.replica == r {
				b.terminating, b.ready = true, false
			}
		}
	})
}

func (f *Front) sendsTo(r *Replica) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.backends {
		if b.replica == r {
			return b.ready
		}
	}
	return false
}

// probe asks a replica whether it is ready for as long as it is there.
func (f *Front) probe(b *backend) {
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	client := &http.Client{Timeout: probeTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		ready := f.isReady(client, b.replica)
		f.mu.Lock()
		if ready {
			b.failures = 0
		} else {
			b.failures++
		}
		b.ready = !b.terminating && (ready || b.ready && b.failures < probeFailures)
		f.mu.Unlock()
		select {
		case <-f.ctx.Done():
			return
		case <-ticker.C:
		}
		select {
		case <-b.replica.gone:
			f.remove(b)
			return
		default:
		}
	}
}

// remove forgets a replica that is gone. One that was killed is found out by two probes.
func (f *Front) remove(b *backend) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b.ready {
		time.AfterFunc(probeEvery*(probeFailures-1), func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			b.ready = false
		})
	}
}

func (f *Front) isReady(client *http.Client, r *Replica) bool {
	req, err := http.NewRequestWithContext(f.ctx, http.MethodGet, "http://"+r.health+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode == http.StatusOK
}

// choose returns where a new connection goes.
func (f *Front) choose() (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refusing {
		return "", false
	}
	if f.diverted != "" {
		return f.diverted, true
	}
	for range f.backends {
		f.next++
		if b := f.backends[f.next%len(f.backends)]; b.ready {
			return b.replica.webhook, true
		}
	}
	return "", false
}

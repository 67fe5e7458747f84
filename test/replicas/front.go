package replicas

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/mainstay-dev/mainstay/test/cluster"
)

// As the Deployment's readinessProbe.
const (
	probeEvery    = time.Second
	probeTimeout  = time.Second
	probeFailures = 2
)

// dialTimeout bounds what a connection waits for the replica that was chosen.
const dialTimeout = 10 * time.Second

// Front is a TCP proxy that stands for the Service of the webhook. A new connection goes
// to the next replica whose /readyz answers; without any it is reset. What a Service does
// not do, a Front does not either: a connection stays where it is, also when its replica
// is not ready any more.
type Front struct {
	lag      time.Duration
	http2    bool
	listener net.Listener
	ctx      context.Context //nolint:containedctx // the Front's own life
	cancel   context.CancelFunc

	mu       sync.Mutex
	backends []*backend
	next     int
	refusing bool
	diverted string                // where everything goes instead, if anywhere
	held     chan struct{}         // closed when bytes pass; nil while they do
	conns    map[net.Conn]struct{} // of clients
}

// backend is a replica as the Front sees it.
type backend struct {
	replica     *Replica
	ready       bool
	failures    int
	terminating bool
}

func newFront(lag time.Duration, http2 bool) (*Front, error) {
	ports, err := cluster.FreePorts(1)
	if err != nil {
		return nil, fmt.Errorf("start the front: %w", err)
	}
	f := &Front{lag: lag, http2: http2, conns: map[net.Conn]struct{}{}}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	if f.listener, err = (&net.ListenConfig{}).Listen(f.ctx, "tcp", loopback(ports[0])); err != nil {
		return nil, fmt.Errorf("start the front: %w", err)
	}
	go f.serve()
	return f, nil
}

// Addr is where it listens.
func (f *Front) Addr() string { return f.listener.Addr().String() }

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

// BlackHole lets nothing through, and says so to nobody.
func (f *Front) BlackHole() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held == nil {
		f.held = make(chan struct{})
	}
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
	if f.held != nil {
		close(f.held)
		f.held = nil
	}
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

// reset ends every connection, without a goodbye.
func (f *Front) reset() {
	for conn := range f.conns {
		abort(conn)
	}
}

func abort(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func (f *Front) close() {
	f.cancel()
	_ = f.listener.Close()
	f.Restore()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reset()
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

func (f *Front) serve() {
	for {
		conn, err := f.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			go f.handle(conn)
		}
	}
}

// handle passes one connection on.
func (f *Front) handle(client net.Conn) {
	f.mu.Lock()
	f.conns[client] = struct{}{}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.conns, client)
	}()
	f.passing()
	addr, ok := f.choose()
	if !ok {
		abort(client)
		return
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	server, err := dialer.DialContext(f.ctx, "tcp", addr)
	if err != nil {
		abort(client)
		return
	}
	var both sync.WaitGroup
	both.Go(func() { f.pass(server, client) })
	both.Go(func() { f.pass(client, server) })
	both.Wait()
	_ = client.Close()
	_ = server.Close()
}

// pass copies one way until its end, or the end of the other.
func (f *Front) pass(to, from net.Conn) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		f.passing()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				abort(from)
				return
			}
		}
		if err == nil {
			continue
		}
		if tcp, ok := to.(*net.TCPConn); ok && errors.Is(err, io.EOF) {
			_ = tcp.CloseWrite()
		} else {
			abort(to)
		}
		return
	}
}

// passing waits while nothing is let through.
func (f *Front) passing() {
	f.mu.Lock()
	held := f.held
	f.mu.Unlock()
	if held != nil {
		<-held
	}
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

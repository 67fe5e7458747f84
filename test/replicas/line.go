package replicas

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/mainstay-dev/mainstay/test/cluster"
)

// dialTimeout bounds what a connection waits for where it leads to.
const dialTimeout = 10 * time.Second

// line is a TCP proxy. A new connection leads to where choose says, and is reset where
// that is nowhere; it stays where it is.
type line struct {
	choose   func() (addr string, ok bool)
	listener net.Listener
	ctx      context.Context //nolint:containedctx // the line's own life
	cancel   context.CancelFunc

	mu    sync.Mutex
	held  chan struct{}         // closed when bytes pass; nil while they do
	conns map[net.Conn]struct{} // of clients
}

func newLine(choose func() (addr string, ok bool)) (*line, error) {
	ports, err := cluster.FreePorts(1)
	if err != nil {
		return nil, err
	}
	l := &line{choose: choose, conns: map[net.Conn]struct{}{}}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	if l.listener, err = (&net.ListenConfig{}).Listen(l.ctx, "tcp", loopback(ports[0])); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	go l.serve()
	return l, nil
}

// Addr is where it listens.
func (l *line) Addr() string { return l.listener.Addr().String() }

// BlackHole lets nothing through, and says so to nobody.
func (l *line) BlackHole() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = make(chan struct{})
	}
}

// release lets through what came and what comes.
func (l *line) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held != nil {
		close(l.held)
		l.held = nil
	}
}

// reset ends every connection, without a goodbye.
func (l *line) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.conns {
		abort(conn)
	}
}

func abort(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func (l *line) close() {
	l.cancel()
	_ = l.listener.Close()
	l.release()
	l.reset()
}

func (l *line) serve() {
	for {
		conn, err := l.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			go l.handle(conn)
		}
	}
}

// handle passes one connection on.
func (l *line) handle(client net.Conn) {
	l.mu.Lock()
	l.conns[client] = struct{}{}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.conns, client)
	}()
	l.passing()
	addr, ok := l.choose()
	if !ok {
		abort(client)
		return
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	server, err := dialer.DialContext(l.ctx, "tcp", addr)
	if err != nil {
		abort(client)
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.pass(server, client) })
	both.Go(func() { l.pass(client, server) })
	both.Wait()
	_ = client.Close()
	_ = server.Close()
}

// pass copies one way until its end, or the end of the other.
func (l *line) pass(to, from net.Conn) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		l.passing()
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
func (l *line) passing() {
	l.mu.Lock()
	held := l.held
	l.mu.Unlock()
	if held != nil {
		<-held
	}
}

package replicas

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// fake is what a Front sees of a replica: a name for whoever connects, and its health.
type fake struct {
	*Replica

	ready atomic.Bool
}

func newFake(t *testing.T, name string) *fake {
	t.Helper()
	f := &fake{Replica: &Replica{pod: name, gone: make(chan struct{})}}
	health := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !f.ready.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(health.Close)
	f.health = health.Listener.Addr().String()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	f.webhook = listener.Addr().String()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				lines := bufio.NewScanner(conn)
				for lines.Scan() {
					_, _ = fmt.Fprintln(conn, name)
				}
				_ = conn.Close()
			}()
		}
	}()
	f.ready.Store(true)
	return f
}

// asked is who answers on a connection.
func asked(conn net.Conn, patience time.Duration) string {
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = fmt.Fprintln(conn, "who?")
	lines := bufio.NewScanner(conn)
	if !lines.Scan() {
		return ""
	}
	return lines.Text()
}

func TestFront(t *testing.T) {
	t.Parallel()
	f, err := newFront(0, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	one, two := newFake(t, "one"), newFake(t, "two")
	f.add(one.Replica)
	f.add(two.Replica)
	try := func() (net.Conn, error) {
		conn, err := net.Dial("tcp", f.listener.Addr().String())
		if err == nil {
			t.Cleanup(func() { _ = conn.Close() })
		}
		return conn, err
	}
	dial := func() net.Conn {
		t.Helper()
		conn, err := try()
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	// Who is refused may hear of it while he connects, or later.
	answers := func(n int) map[string]int {
		t.Helper()
		out := map[string]int{}
		for range n {
			by := ""
			if conn, err := try(); err == nil {
				by = asked(conn, 2*time.Second)
			}
			out[by]++
		}
		return out
	}
	endpoints := func(want int) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); f.Endpoints() != want; {
			if time.Now().After(deadline) {
				t.Fatalf("%d endpoints, want %d", f.Endpoints(), want)
			}
			<-time.After(10 * time.Millisecond)
		}
	}

	endpoints(2)
	if got := answers(4); got["one"] != 2 || got["two"] != 2 {
		t.Errorf("connections went to %v, want one after the other", got)
	}
	kept := map[string]net.Conn{}
	for len(kept) < 2 {
		conn := dial()
		kept[asked(conn, 2*time.Second)] = conn
	}
	one.ready.Store(false)
	endpoints(1)
	if got := answers(2); got["two"] != 2 {
		t.Errorf("connections went to %v, want none to the one that is not ready", got)
	}
	if got := asked(kept["one"], 2*time.Second); got != "one" {
		t.Errorf("a connection to one that is not ready any more is answered by %q", got)
	}

	f.BlackHole()
	through := dial()
	if got := asked(through, 200*time.Millisecond); got != "" {
		t.Errorf("a black hole lets %q through", got)
	}
	f.Restore()
	if got := answers(1); got["two"] != 1 {
		t.Errorf("behind the black hole: %v", got)
	}
	f.Refuse()
	if got := answers(1); got[""] != 1 {
		t.Errorf("without endpoints connections go to %v", got)
	}
	if got := asked(kept["two"], 2*time.Second); got != "" {
		t.Errorf("without endpoints a connection stays with %q", got)
	}
	f.Restore()
	other := newFake(t, "elsewhere")
	f.Divert(other.webhook)
	if got := answers(1); got["elsewhere"] != 1 {
		t.Errorf("what is diverted goes to %v", got)
	}
	f.Restore()
	f.terminate(two.Replica)
	endpoints(0)
	if got := answers(1); got[""] != 1 {
		t.Errorf("without a replica that is ready connections go to %v", got)
	}
}

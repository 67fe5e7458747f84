package health

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestWedgedReplicaRecoversWithoutTraffic runs the real loop.
func TestWedgedReplicaRecoversWithoutTraffic(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("ended with %v", err)
		}
	})
	await := func(want string) {
		t.Helper()
		deadline := time.Now().Add(10 * time.Second)
		for {
			got := ""
			if err := b.Check(nil); err != nil {
				got = err.Error()
			}
			if want == "" && got == "" || want != "" && strings.Contains(got, want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("ready: %q, want %q", got, want)
			}
			time.Sleep(20 * time.Millisecond)
			b.clock.Step(interval / 4)
		}
	}
	await("")
	b.wedged.Store(true)
	for range 20 {
		b.Reviewed(true)
	}
	await("20 of the last 20 reviews")
	await("no review of its own was answered")
	// From here on nobody sends it anything.
	b.wedged.Store(false)
	await("")
}

// TestSendAwayClosesConnections calls by both versions of HTTP.
func TestSendAwayClosesConnections(t *testing.T) {
	t.Parallel()
	for name, h2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var drainer Drainer
			var mu sync.Mutex
			connections := map[string]bool{}
			server := httptest.NewUnstartedServer(drainer.Middleware(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				connections[req.RemoteAddr] = true
				_, _ = w.Write([]byte("answered"))
			})))
			server.EnableHTTP2 = h2
			server.StartTLS()
			t.Cleanup(server.Close)
			call := func() {
				t.Helper()
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := server.Client().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				buf := make([]byte, 64)
				n, _ := resp.Body.Read(buf)
				_, _ = resp.Body.Read(buf[n:])
				_ = resp.Body.Close()
				if string(buf[:n]) != "answered" || (resp.ProtoMajor == 2) != h2 {
					t.Fatalf("%s answered %q", resp.Proto, buf[:n])
				}
			}
			drainer.Drain()
			for range 5 {
				call()
			}
			count := func() int {
				mu.Lock()
				defer mu.Unlock()
				return len(connections)
			}
			if count() != 1 {
				t.Fatalf("%d connections before callers are sent away, want one that is kept", count())
			}
			drainer.SendAway()
			mu.Lock()
			clear(connections)
			mu.Unlock()
			for range 5 {
				call()
				// The GOAWAY is on its way.
				time.Sleep(20 * time.Millisecond)
			}
			if got := count(); got != 5 {
				t.Errorf("%d connections for 5 calls that are sent away, want one each", got)
			}
		})
	}
}

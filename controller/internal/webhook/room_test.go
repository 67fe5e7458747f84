package webhook

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"runtime"
	"strings"
	"testing"
	"time"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/mainstay-dev/mainstay/controller/internal/policy"
)

// largePod is aPod, with so many bytes more.
func largePod(n int) string {
	return strings.Replace(aPod, "name: web-1", "name: web-1, annotations: {large: "+strings.Repeat("x", n)+"}", 1)
}

// Large reviews wait for one another, and in vain for those that hold the room for good.
func TestRoomForLargeReviews(t *testing.T) {
	t.Parallel()
	r := podRule("few").Validate("size(refs.pods) <= 9", "too many pods").Obj()
	f := start(t, newFakeObjects(), r)
	group := policy.AdmitPath + groupOf(t, r)
	small, large := review(t, aPod), review(t, largePod(2*smallBody))
	dense := review(t, strings.Replace(aPod, "spec: {}", "spec: {x: ["+strings.Repeat("{a: 1},", 6000)+"]}", 1))
	const wait, unsaid = "?timeout=30s", -1
	want := func(what, query string, body []byte, length int, code int, message string) {
		t.Helper()
		req := httptest.NewRequest(http.MethodPost, group+query, bytes.NewReader(body)).WithContext(t.Context())
		req.ContentLength = int64(length)
		recorder := httptest.NewRecorder()
		f.handler.ServeHTTP(recorder, req)
		if said := recorder.Body.String(); recorder.Code != code || !strings.Contains(said, message) {
			t.Errorf("%s: HTTP %d %.200s, want %d %s", what, recorder.Code, said, code, message)
		}
	}
	const allowed = `"allowed":true`
	want("large", wait, large, len(large), http.StatusOK, allowed)
	want("large, of a length that nobody said", wait, large, unsaid, http.StatusOK, allowed)
	want("dense", wait, dense, len(dense), http.StatusOK, allowed)
	if !f.room.bodies.TryAcquire(bodiesRoom) {
		t.Fatal("reviews that were answered keep room")
	}
	want("bodies: large", "?timeout=1s", large, len(large), http.StatusServiceUnavailable, "no room")
	want("bodies: large, unsaid", "?timeout=1s", large, unsaid, http.StatusServiceUnavailable, "no room")
	want("bodies: dense", wait, dense, len(dense), http.StatusOK, allowed)
	want("bodies: small, unsaid", wait, small, unsaid, http.StatusOK, allowed)
	f.room.bodies.Release(bodiesRoom)
	if !f.room.decoded.TryAcquire(decodedRoom) {
		t.Fatal("reviews that were answered keep room")
	}
	want("decoded: large", wait, large, len(large), http.StatusOK, allowed)
	want("decoded: dense", "?timeout=1s", dense, len(dense), http.StatusServiceUnavailable, "no room")
	want("decoded: small", wait, small, len(small), http.StatusOK, allowed)
	f.room.decoded.Release(decodedRoom)

	long, parts := bytes.Repeat([]byte(" "), maxBody+1), []byte(`[`+strings.Repeat(`{"":0},`, maxBody/8)+`0]`)
	want("too long", wait, long, len(long), http.StatusRequestEntityTooLarge, "want at most 8388608 bytes")
	want("too long, unsaid", wait, long, unsaid, http.StatusRequestEntityTooLarge, "want at most 8388608 bytes")
	want("too many parts", wait, parts, len(parts), http.StatusRequestEntityTooLarge, "MiB of memory")
	if f.observed.owns > 0 {
		t.Errorf("%d of %d count as this replica's own failures: whoever sends large ones could have it be unready", f.observed.owns, f.observed.all)
	}
	if !f.room.bodies.TryAcquire(bodiesRoom) || !f.room.decoded.TryAcquire(decodedRoom) {
		t.Error("reviews that were refused keep room")
	}
}

// serveWithin serves by the function, within a room.
func serveWithin(t *testing.T, timeout time.Duration, do func(*http.Request, []byte)) *httptest.Server {
	t.Helper()
	m := newRoom(bodiesRoom, decodedRoom)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := m.within(w, r, time.Now().Add(timeout), func(body []byte) { do(r, body) }); err != nil {
			unread(err).write(w)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

// Who says that he sends much takes no room by that.
func TestSilentCallersTakeNoRoom(t *testing.T) {
	t.Parallel()
	server := serveWithin(t, time.Minute, func(*http.Request, []byte) {})
	for range 2 * bodiesRoom / maxBody {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n{", maxBody); err != nil {
			t.Fatal(err)
		}
	}
	client := server.Client()
	client.Timeout = 20 * time.Second // those wait for a minute
	resp, err := client.Post(server.URL, "application/json", bytes.NewReader(make([]byte, 2*smallBody)))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Error(resp.Status)
	}
}

// A connection is as good as before when a review took longer than it may.
func TestConnectionAfterLateReview(t *testing.T) {
	t.Parallel()
	const timeout = 200 * time.Millisecond
	late := true
	server := serveWithin(t, timeout, func(r *http.Request, _ []byte) {
		if late {
			late = false
			time.Sleep(3 * timeout)
		}
		if err := r.Context().Err(); err != nil {
			t.Error(err)
		}
	})
	for i := range 2 {
		trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
			if info.Reused != (i > 0) {
				t.Errorf("review %d: a connection that was used: %t", i, info.Reused)
			}
		}}
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodPost, server.URL, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
}

// TestDecodedSize compares the estimate with what there is after it was decoded. It is
// not parallel: others would count.
func TestDecodedSize(t *testing.T) {
	const n = 20_000
	typical := `{"metadata":{"name":"web","labels":{"app":"web"},"managedFields":[{"f:spec":{"f:replicas":{}}}]},"spec":{"a":1,"b":[true,"x\"{{{{{{"]}},`
	var entries strings.Builder
	for i := range n {
		_, _ = fmt.Fprintf(&entries, `"%d":0,`, i)
	}
	for name, text := range map[string]string{
		"typical":      "[" + strings.Repeat(typical, n/10) + "0]",
		"maps":         "[" + strings.Repeat(`{"":0},`, n) + "0]",
		"empty maps":   "[" + strings.Repeat(`{},`, n) + "0]",
		"lists":        "[" + strings.Repeat(`[0],`, n) + "0]",
		"empty lists":  "[" + strings.Repeat(`[],`, n) + "0]",
		"numbers":      "[" + strings.Repeat(`1000,`, n) + "0]",
		"strings":      "[" + strings.Repeat(`"",`, n) + "0]",
		"nested maps":  "[" + strings.Repeat(strings.Repeat(`{"":`, 100)+"0"+strings.Repeat("}", 100)+",", n/100) + "0]",
		"nested lists": "[" + strings.Repeat(strings.Repeat(`[`, 100)+"0"+strings.Repeat("]", 100)+",", n/100) + "0]",
		"one map":      "{" + entries.String() + `"":0}`,
		"text":         `"` + strings.Repeat(`{\"[,:{`, 10*n) + `"`,
	} {
		before := live()
		var value any
		if err := utiljson.Unmarshal([]byte(text), &value); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		took := live() - before
		runtime.KeepAlive(value)
		if got := decodedSize([]byte(text)); got < took || got > 3*took {
			t.Errorf("%s: %d bytes take %d, estimated %d", name, len(text), took, got)
		}
	}
}

// live is what the heap holds, in bytes.
func live() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

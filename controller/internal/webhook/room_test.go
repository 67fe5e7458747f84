package webhook

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

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
	path := policy.AdmitPath + groupOf(t, r) + "?timeout=1s"
	small, large := review(t, aPod), review(t, largePod(2*maxSmall))
	ask := func(body []byte, known bool) (int, string) {
		req := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body)).WithContext(t.Context())
		if !known {
			req.ContentLength = -1
		}
		recorder := httptest.NewRecorder()
		f.handler.ServeHTTP(recorder, req)
		return recorder.Code, recorder.Body.String()
	}
	want := func(what string, body []byte, known bool, code int, message string) {
		t.Helper()
		if got, said := ask(body, known); got != code || !strings.Contains(said, message) {
			t.Errorf("%s: HTTP %d %.200s, want %d %s", what, got, said, code, message)
		}
	}
	want("large", large, true, http.StatusOK, `"allowed":true`)
	want("large, of a length that nobody said", large, false, http.StatusOK, `"allowed":true`)
	for name, all := range map[string]interface {
		TryAcquire(n int64) bool
		Release(n int64)
	}{"bodies": f.room.bodies, "decoded": f.room.decoded} {
		n := map[string]int64{"bodies": bodiesRoom, "decoded": decodedRoom}[name]
		if !all.TryAcquire(n) {
			t.Fatalf("%s: a review that was answered keeps room", name)
		}
		want(name+" taken: large", large, true, http.StatusServiceUnavailable, "no room")
		want(name+" taken: small", small, true, http.StatusOK, `"allowed":true`)
		all.Release(n)
		want(name+" free: large", large, true, http.StatusOK, `"allowed":true`)
	}
	want("too long", bytes.Repeat([]byte(" "), maxBody+1), true, http.StatusRequestEntityTooLarge, "8388609 bytes, want at most 8388608")
	want("too long, which nobody said", bytes.Repeat([]byte(" "), maxBody+1), false, http.StatusRequestEntityTooLarge, "want at most 8388608 bytes")
	want("too many parts", []byte(`[`+strings.Repeat(`{"":0},`, maxBody/8)+`0]`), true, http.StatusRequestEntityTooLarge, "MiB of memory")
	if f.observed.owns > 0 {
		t.Errorf("%d of %d count as this replica's own failures: whoever sends large ones could have it be unready", f.observed.owns, f.observed.all)
	}
	if !f.room.bodies.TryAcquire(bodiesRoom) || !f.room.decoded.TryAcquire(decodedRoom) {
		t.Error("reviews that were refused keep room")
	}
}

// What is said of a body's length does not have more read, or less be enough.
func TestBodyOfAnotherLength(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{"shorter": "1234", "longer": "123456"} {
		req := httptest.NewRequest(http.MethodPost, "/", io.NopCloser(strings.NewReader(body)))
		req.ContentLength = 5
		if got, err := read(req, 5); len(got) > 5 || (err != nil) != (name == "shorter") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
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
		"text":         `"` + strings.Repeat(`{\"[,:{`, n) + `"`,
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

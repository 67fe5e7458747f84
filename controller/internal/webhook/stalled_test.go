package webhook

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/controller/internal/policy"
)

// TestStalledBody has a caller who does not send on be answered once the API server would
// have given up.
func TestStalledBody(t *testing.T) {
	t.Parallel()
	r := few("a", 9).Obj()
	f := start(t, newFakeObjects(), r)
	for path, handler := range map[string]http.Handler{policy.AdmitPath + groupOf(t, r): f.handler, policy.ValidatePath: f.ValidateHandler()} {
		for _, http2 := range []bool{false, true} {
			server := httptest.NewUnstartedServer(handler)
			server.EnableHTTP2 = http2
			server.StartTLS()
			t.Cleanup(server.Close)
			stalled, writer := io.Pipe()
			t.Cleanup(func() { _ = writer.Close() })
			go func() { _, _ = writer.Write([]byte(`{"apiVersion": `)) }()

			began := time.Now()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path+"?timeout=1s", stalled)
			if err != nil {
				t.Fatal(err)
			}
			response, err := server.Client().Do(req)
			if err != nil {
				t.Fatalf("%s, HTTP/2 %t: %v", path, http2, err)
			}
			answer, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if err != nil || response.StatusCode != http.StatusBadRequest || !strings.Contains(string(answer), "timeout") {
				t.Errorf("%s, HTTP/2 %t: HTTP %d %s, %v", path, http2, response.StatusCode, answer, err)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("%s, HTTP/2 %t: answered after %s", path, http2, took)
			}
		}
	}
}

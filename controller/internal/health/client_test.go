package health

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestClientKnowsReplicasByTheirNameAndCA(t *testing.T) {
	t.Parallel()
	redirected := false
	mux := http.NewServeMux()
	mux.HandleFunc("GET /heard", func(w http.ResponseWriter, req *http.Request) { http.Redirect(w, req, "/elsewhere", http.StatusFound) })
	mux.HandleFunc("GET /elsewhere", func(http.ResponseWriter, *http.Request) { redirected = true })
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	trusted := x509.NewCertPool()
	trusted.AddCert(server.Certificate())
	tests := map[string]struct {
		roots  *x509.CertPool
		name   string
		wantOK bool
	}{
		"both":         {roots: trusted, name: "example.com", wantOK: true}, // httptest's
		"another name": {roots: trusted, name: "mainstay-webhook.mainstay-system.svc"},
		"another CA":   {roots: x509.NewCertPool(), name: "example.com"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/heard", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := NewClient(tc.roots, tc.name).Do(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			if (err == nil) != tc.wantOK {
				t.Errorf("answered: %v, want %v", err, tc.wantOK)
			}
		})
	}
	if redirected {
		t.Error("followed a redirect")
	}
}

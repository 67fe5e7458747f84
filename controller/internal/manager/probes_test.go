package manager

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
)

func TestProbes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		path     string
		fails    bool
		wantCode int
		want     string
	}{
		"alive":                     {path: "/healthz", fails: true, wantCode: http.StatusOK, want: "ok"},
		"ready":                     {path: "/readyz", wantCode: http.StatusOK, want: "ok"},
		"each check":                {path: "/readyz?verbose", wantCode: http.StatusOK, want: "[+]webhook ok"},
		"not ready":                 {path: "/readyz", fails: true, wantCode: http.StatusServiceUnavailable, want: "[-]webhook failed"},
		"why":                       {path: "/readyz/webhook", fails: true, wantCode: http.StatusServiceUnavailable, want: "there is no certificate"},
		"a check that there is not": {path: "/readyz/other", wantCode: http.StatusNotFound},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := Default()
			opts.HealthAddr, opts.Log = "127.0.0.1:0", logr.Discard()
			server, err := newProbes(opts, map[string]healthz.Checker{"webhook": func(*http.Request) error {
				if tc.fails {
					return errors.New("there is no certificate")
				}
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = server.Listener.Close() })
			got := httptest.NewRecorder()
			server.Server.Handler.ServeHTTP(got, httptest.NewRequest(http.MethodGet, tc.path, http.NoBody))
			if got.Code != tc.wantCode || !strings.Contains(got.Body.String(), tc.want) {
				t.Errorf("%d %q, want %d and %q", got.Code, got.Body.String(), tc.wantCode, tc.want)
			}
		})
	}
}

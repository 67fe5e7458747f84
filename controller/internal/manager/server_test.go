package manager

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
)

// TestWebhookServer has a request be under way while the server stops. API servers speak
// HTTP/2 to their own host, and HTTP/1.1 to any other one.
func TestWebhookServer(t *testing.T) {
	t.Parallel()
	for version := 1; version <= 2; version++ {
		t.Run(fmt.Sprintf("HTTP %d", version), func(t *testing.T) {
			t.Parallel()
			stopWhileAsked(t, version)
		})
	}
}

func stopWhileAsked(t *testing.T, version int) {
	t.Helper()
	https := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(https.Close)
	began := make(chan struct{}, 1)
	opts := Default()
	opts.WebhookAddr, opts.Log = "127.0.0.1:0", logr.Discard()
	server, err := newServer(opts,
		func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &https.TLS.Certificates[0], nil },
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case began <- struct{}{}:
			default:
			}
			body, err := io.ReadAll(r.Body)
			if err == nil {
				err = r.Context().Err()
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			_, _ = w.Write(body)
		}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- server.Start(ctx) }()

	client := https.Client()
	client.Timeout = 10 * time.Second
	transport := client.Transport.(*http.Transport) //nolint:forcetypeassert // it would not compile otherwise
	transport.TLSClientConfig.ServerName, transport.ForceAttemptHTTP2 = "example.com", version == 2
	body, writer := io.Pipe()
	answered := make(chan error, 1)
	go func() {
		response, err := client.Post("https://"+server.Listener.Addr().String(), "text/plain", body)
		if err == nil {
			var answer []byte
			answer, err = io.ReadAll(response.Body)
			_ = response.Body.Close()
			if err == nil && (response.StatusCode != http.StatusOK || response.ProtoMajor != version || string(answer) != "first second") {
				t.Errorf("%s %s %q", response.Proto, response.Status, answer)
			}
		}
		answered <- err
	}()
	_, _ = io.WriteString(writer, "first ")
	<-began
	stop()
	// The server takes nobody any more once it stops.
	for since := time.Now(); ; time.Sleep(time.Millisecond) {
		response, err := client.Post("https://"+server.Listener.Addr().String(), "text/plain", strings.NewReader("late"))
		if err != nil {
			break
		}
		_ = response.Body.Close()
		if time.Since(since) > 5*time.Second {
			t.Fatal("it goes on taking requests")
		}
	}
	_, _ = io.WriteString(writer, "second")
	_ = writer.Close()
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

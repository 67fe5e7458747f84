package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// serve has a replica accept TLS connections, and returns its address.
func (r *replica) serve(t *testing.T) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: r.GetCertificate, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_ = conn.(*tls.Conn).Handshake()
				_ = conn.Close()
			}()
		}
	}()
	return listener.Addr().String()
}

// trustNow writes what a replica says into the configuration, as the leader would.
func (e *env) trustNow(ctx context.Context, bundle []byte) error {
	config := configuration()
	if err := e.admin.Get(ctx, client.ObjectKeyFromObject(config), config); err != nil {
		return err
	}
	config.Webhooks = []admissionregistrationv1.ValidatingWebhook{{
		Name:                    "rules.mainstay.dev",
		ClientConfig:            admissionregistrationv1.WebhookClientConfig{URL: new("https://127.0.0.1:1"), CABundle: bundle},
		FailurePolicy:           new(admissionregistrationv1.Ignore),
		SideEffects:             new(admissionregistrationv1.SideEffectClassNone),
		AdmissionReviewVersions: []string{"v1"},
	}}
	return e.admin.Update(ctx, config)
}

// apiServer connects to replicas as an API server does: it trusts what the configuration
// said a while ago.
type apiServer struct {
	lag      time.Duration
	versions []version
}

type version struct {
	at   time.Time
	pool *x509.CertPool
}

// observe takes what the configuration says now.
func (s *apiServer) observe(config *admissionregistrationv1.ValidatingWebhookConfiguration) {
	pool := x509.NewCertPool()
	for i := range config.Webhooks {
		pool.AppendCertsFromPEM(config.Webhooks[i].ClientConfig.CABundle)
	}
	if n := len(s.versions); n == 0 || !s.versions[n-1].pool.Equal(pool) {
		s.versions = append(s.versions, version{at: time.Now(), pool: pool})
	}
}

func (s *apiServer) connect(ctx context.Context, address string) error {
	until := time.Now().Add(-s.lag)
	i := slices.IndexFunc(s.versions, func(v version) bool { return v.at.After(until) })
	if i < 0 {
		i = len(s.versions)
	}
	dialer := tls.Dialer{
		NetDialer: &net.Dialer{Timeout: 20 * time.Second},
		Config:    &tls.Config{RootCAs: s.versions[max(i-1, 0)].pool, ServerName: ServerName(ownNamespace), MinVersion: tls.VersionTLS12},
	}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// TestRotationRefusesNobody has everything expire within seconds, while a leader is slow
// to write what is to be trusted, API servers are slow to hear of it, and replicas come.
func TestRotationRefusesNobody(t *testing.T) {
	e := clean(t)
	opts := options()
	// A CA is renewed after 10 s, when its second serving certificate has 5 s left: twice
	// what leader and API servers take.
	opts.CALife, opts.ServingLife = 15*time.Second, 10*time.Second
	opts.TrustDelay, opts.Interval, opts.Jitter = time.Second, 200*time.Millisecond, 100*time.Millisecond
	// Not a deadline: a dial fails at it before the context says that it is over.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	time.AfterFunc(30*time.Second, cancel)

	first, second := e.start(t, opts), e.start(t, opts)
	e.ready(t, first, second)
	if err := e.trustNow(ctx, first.Bundle()); err != nil {
		t.Fatal(err)
	}
	changed := make(chan struct{}, 1)
	first.OnChange(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		behind   = []*replica{first, second} // the Service
		address  = map[*replica]string{first: first.serve(t), second: second.serve(t)}
		attempts atomic.Int64
		written  atomic.Int64
	)
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			time.Sleep(time.Second / 2)
			if err := e.trustNow(ctx, first.Bundle()); err != nil && ctx.Err() == nil {
				t.Errorf("the leader cannot write the configuration: %v", err)
			}
			written.Add(1)
		}
	})
	for _, lag := range []time.Duration{0, 300 * time.Millisecond, 700 * time.Millisecond} {
		wg.Go(func() {
			server := &apiServer{lag: lag}
			for n := 0; ctx.Err() == nil; n++ {
				config := configuration()
				if err := e.admin.Get(ctx, client.ObjectKeyFromObject(config), config); err != nil {
					continue
				}
				server.observe(config)
				mu.Lock()
				r := behind[n%len(behind)]
				to := address[r]
				mu.Unlock()
				err := server.connect(ctx, to)
				if ctx.Err() != nil {
					return
				}
				attempts.Add(1)
				if err != nil {
					t.Errorf("an API server %s behind is refused: %v", lag, err)
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	seen := map[string]bool{}
	for n := 0; ctx.Err() == nil; n++ {
		_, m := e.stored(t)
		seen[string(m.bundle[0].Raw)] = true
		if n%20 == 10 {
			// One that starts at some point of a rotation counts once it is ready.
			late := e.start(t, opts)
			to := late.serve(t)
			wg.Go(func() {
				for late.Ready() != nil {
					if ctx.Err() != nil {
						return
					}
					time.Sleep(10 * time.Millisecond)
				}
				mu.Lock()
				defer mu.Unlock()
				behind, address[late] = append(behind, late), to
			})
		}
		for _, r := range []*replica{first, second} {
			if err := r.Ready(); err != nil {
				t.Errorf("a replica became unready in a rotation: %v", err)
			}
		}
		pauseUntil(ctx, 200*time.Millisecond)
	}
	wg.Wait()
	t.Logf("%d connections to %d replicas through %d CAs, %d writes of the configuration", attempts.Load(), len(behind), len(seen), written.Load())
	if len(seen) < 3 || len(behind) < 4 || attempts.Load() < 500 {
		t.Error("that is too little to show anything")
	}
}

// TestLostSecretIsOneMoreRotation loses CA and keys while API servers call.
func TestLostSecretIsOneMoreRotation(t *testing.T) {
	e := clean(t)
	opts := options()
	opts.TrustDelay = time.Second
	r := e.start(t, opts)
	before := e.ready(t, r)
	if err := e.trustNow(t.Context(), r.Bundle()); err != nil {
		t.Fatal(err)
	}
	to := r.serve(t)
	server := &apiServer{}
	connect := func() {
		t.Helper()
		config := configuration()
		err := e.admin.Get(t.Context(), client.ObjectKeyFromObject(config), config)
		server.observe(config)
		if err := errors.Join(err, server.connect(t.Context(), to)); err != nil {
			t.Fatal(err)
		}
	}
	connect()
	eventually(t, 5*time.Second, func() (bool, string) {
		config := configuration()
		err := r.opts.Client.Get(t.Context(), client.ObjectKeyFromObject(config), config)
		return err == nil && len(config.Webhooks) == 1, fmt.Sprint("the cache has no entry: ", err)
	})
	eventually(t, 5*time.Second, func() (bool, string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.served.entries, "the Keeper has seen no entry"
	})
	if err := e.admin.Delete(t.Context(), e.secret()); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, func() (bool, string) {
		connect()
		return len(certsIn(r.Bundle())) == 2, "the bundle has no new CA"
	})
	for range 50 {
		connect()
	}
	if shown := r.shown(); !shown.pair.Leaf.Equal(before.pair.Leaf) {
		t.Error("a certificate is shown that nobody trusts")
	}
	if err := e.trustNow(t.Context(), r.Bundle()); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, func() (bool, string) {
		connect()
		return !r.shown().pair.Leaf.Equal(before.pair.Leaf), "the former certificate is shown"
	})
	connect()
}

func certsIn(bundle []byte) []*x509.Certificate {
	m, _ := parse(map[string][]byte{KeyCA: bundle})
	return m.bundle
}

func pauseUntil(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

package manager

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlmanager "sigs.k8s.io/controller-runtime/pkg/manager"

	rulecontroller "github.com/mainstay-dev/mainstay/controller/internal/controllers/rule"
	webhookcontroller "github.com/mainstay-dev/mainstay/controller/internal/controllers/webhook"
	"github.com/mainstay-dev/mainstay/controller/internal/health"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	rulekey "github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/controller/internal/webhook"
)

const (
	// answerTimeout bounds a handshake, and a request once its header is there: 30 s, which
	// is the most that an API server waits, and a little.
	answerTimeout = 35 * time.Second

	// idleTimeout is for connections without a request, used before or not. It is longer
	// than the 90 s of API servers, so that they are who closes one: a review that is
	// written while this side does fails, as an API server asks once.
	idleTimeout = 3 * time.Minute

	maxHeader = 64 << 10
)

// newServer returns the server that API servers call. It shows the certificate that the
// ready replica's keeper says is trusted. controller-runtime's webhook.Server has none of
// the limits, closes idle connections when API servers do, and cancels what is under way
// when it stops.
func newServer(opts Options, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error), handler http.Handler) (*ctrlmanager.Server, error) {
	listener, err := net.Listen("tcp", opts.WebhookAddr) //nolint:noctx // there is nothing to wait for
	if err != nil {
		return nil, fmt.Errorf("listen for the webhook: %w", err)
	}
	return &ctrlmanager.Server{
		Name:     "webhook",
		Listener: tls.NewListener(listener, &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: certificate}),
		// What is not over by then must not keep the rest of the program from a graceful end.
		ShutdownTimeout: new(opts.ShutdownTimeout / 2),
		Server: &http.Server{
			Handler:        handler,
			ReadTimeout:    idleTimeout,
			WriteTimeout:   answerTimeout,
			IdleTimeout:    idleTimeout,
			MaxHeaderBytes: maxHeader,
			ErrorLog:       slog.NewLogLogger(logr.ToSlogHandler(opts.Log.WithName("webhook")), slog.LevelInfo),
		},
	}, nil
}

// certificates are what API servers are to trust; none where the webhook is off.
func (a *availability) certificates() webhookcontroller.Certificates {
	if a.keeper == nil {
		return noCertificates{}
	}
	return a.keeper
}

type noCertificates struct{}

func (noCertificates) Bundle() []byte  { return nil }
func (noCertificates) OnChange(func()) {}

// serve has the engine judge what API servers ask, on every replica.
func (a *availability) serve(mgr ctrlmanager.Manager, opts Options, engine *webhook.Engine) error {
	if a.health == nil {
		return nil
	}
	mux := http.NewServeMux()
	mux.Handle(policy.AdmitPath, engine.Handler(a.health))
	mux.Handle(policy.ValidatePath, engine.ValidateHandler())
	mux.Handle(health.PathHeard, a.health)
	server, err := newServer(opts, a.keeper.GetCertificate, a.drainer.Middleware(mux))
	if err != nil {
		return err
	}
	a.servers = append(a.servers, server)
	if err := mgr.Add(a.health); err != nil {
		return fmt.Errorf("add the health of the webhook: %w", err)
	}
	read := &firstRead{synced: engine.Synced, clock: a.steady, since: a.steady.Now()}
	a.checks["reviews"] = func(*http.Request) error { return read.check() }
	a.checks["webhook"] = a.health.Check
	return nil
}

// readPatience is how long a new replica is kept from reviews by what it has not read
// yet. Then a kind that cannot be listed stops the rules that need it, and no replica.
const readPatience = time.Minute

// firstRead keeps a replica from reviews until it can judge by the rules that it found.
// What becomes of rules afterwards does not matter to it.
type firstRead struct {
	synced func() bool
	clock  clock.PassiveClock
	since  time.Time
	done   atomic.Bool
}

func (f *firstRead) check() error {
	if !f.done.Load() && (f.synced() || f.clock.Since(f.since) > readPatience) {
		f.done.Store(true)
	}
	if !f.done.Load() {
		return errors.New("what rules with references refer to is not read yet")
	}
	return nil
}

// expectEvery is how often rules that were expected are looked for once more.
const expectEvery = 2 * time.Second

// judge runs the engine once it knows which rules there are.
type judge struct {
	*webhook.Engine
	mgr ctrlmanager.Manager
}

var _ ctrlmanager.LeaderElectionRunnable = (*judge)(nil)

// Start judges until the context ends.
func (j *judge) Start(ctx context.Context) error {
	if !j.mgr.GetCache().WaitForCacheSync(ctx) {
		return nil
	}
	if err := expect(ctx, j.mgr.GetCache(), j.Expect); err != nil {
		return err
	}
	go j.expectAgain(ctx)
	return j.Engine.Start(ctx)
}

// expectAgain expects what there still is until all of it was seen: a rule that was deleted
// before anybody handed it over would be waited for for ever.
func (j *judge) expectAgain(ctx context.Context) {
	ticker := time.NewTicker(expectEvery)
	defer ticker.Stop()
	for j.Expects() {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := expect(ctx, j.mgr.GetCache(), j.Expect); err != nil {
			j.mgr.GetLogger().Error(err, "cannot look again which rules there are")
		}
	}
}

// expect names the rules that a reader has. One that is being deleted is no more handed over
// than one that is gone.
func expect(ctx context.Context, reader client.Reader, named func([]rulekey.Key)) error {
	rules, err := rulecontroller.List(ctx, reader)
	if err != nil {
		return err
	}
	keys := make([]rulekey.Key, 0, len(rules))
	for _, obj := range rules {
		if obj.GetDeletionTimestamp() == nil {
			keys = append(keys, rulecontroller.KeyOf(obj))
		}
	}
	named(keys)
	return nil
}

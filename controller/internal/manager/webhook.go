package manager

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"
	ctrlmanager "sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	rulecontroller "github.com/mainstay-dev/mainstay/controller/internal/controllers/rule"
	webhookcontroller "github.com/mainstay-dev/mainstay/controller/internal/controllers/webhook"
	"github.com/mainstay-dev/mainstay/controller/internal/health"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	rulekey "github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/controller/internal/webhook"
)

// newServer is the server that API servers call. It shows the certificate that the
// ready replica's keeper says is trusted.
func newServer(opts Options, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)) (ctrlwebhook.Server, error) {
	host, text, err := net.SplitHostPort(opts.WebhookAddr)
	if err != nil {
		return nil, fmt.Errorf("read the address of the webhook: %w", err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("read the port of the webhook: %w", err)
	}
	return ctrlwebhook.NewServer(ctrlwebhook.Options{Host: host, Port: port, TLSOpts: []func(*tls.Config){func(c *tls.Config) {
		c.MinVersion = tls.VersionTLS12
		c.GetCertificate = certificate
	}}}), nil
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
	server, err := newServer(opts, a.keeper.GetCertificate)
	if err != nil {
		return err
	}
	for path, handler := range map[string]http.Handler{
		policy.AdmitPath:    engine.Handler(a.health),
		policy.ValidatePath: engine.ValidateHandler(),
		health.PathHeard:    a.health,
	} {
		server.Register(path, a.drainer.Middleware(handler))
	}
	if err := mgr.Add(server); err != nil {
		return fmt.Errorf("add the webhook's server: %w", err)
	}
	read := &firstRead{synced: engine.Synced, clock: opts.Clock, since: opts.Clock.Now()}
	if err := mgr.AddReadyzCheck("reviews", func(*http.Request) error { return read.check() }); err != nil {
		return fmt.Errorf("add the readiness check: %w", err)
	}
	return a.serves(mgr)
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
	var keys []rulekey.Key
	var clusterRules v1alpha1.ClusterRuleList
	if err := j.mgr.GetCache().List(ctx, &clusterRules); err != nil {
		return fmt.Errorf("list the ClusterRules: %w", err)
	}
	for i := range clusterRules.Items {
		keys = append(keys, rulecontroller.KeyOf(&clusterRules.Items[i]))
	}
	var rules v1alpha1.RuleList
	if err := j.mgr.GetCache().List(ctx, &rules); err != nil {
		return fmt.Errorf("list the Rules: %w", err)
	}
	for i := range rules.Items {
		keys = append(keys, rulecontroller.KeyOf(&rules.Items[i]))
	}
	j.Expect(keys)
	return j.Engine.Start(ctx)
}

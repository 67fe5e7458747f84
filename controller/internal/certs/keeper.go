package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/wait"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/cert"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// +kubebuilder:rbac:groups="",namespace=mainstay-system,resources=secrets,resourceNames=mainstay-webhook-tls,verbs=get;list;watch;update
// +kubebuilder:rbac:groups="",namespace=mainstay-system,resources=secrets,verbs=create
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingwebhookconfigurations,resourceNames=mainstay,verbs=get;list;watch

const (
	// SecretName is the Secret in Mainstay's own namespace.
	SecretName = "mainstay-webhook-tls"
	// ServiceName is the Service by which API servers call the webhook.
	ServiceName = "mainstay-webhook"
	// ConfigurationName is the ValidatingWebhookConfiguration.
	ConfigurationName = "mainstay"
)

// ServerName is the name by which API servers know the webhook of a namespace.
func ServerName(namespace string) string { return ServiceName + "." + namespace + ".svc" }

// Options of a Keeper. Those without a default have to be given.
type Options struct {
	// Client reads from the cache, and writes. Reader asks the API server: nothing is
	// written on the word of a cache.
	Client client.Client
	Reader client.Reader
	Cache  cache.Cache
	// Namespace is Mainstay's own.
	Namespace string
	// Rotate is false where somebody else writes the Secret.
	Rotate bool
	// Names are DNS names and IP addresses that the certificate is for beside those of
	// the Service.
	Names []string

	// CALife is a year by default, and ServingLife 90 days. Both are renewed when a
	// third of it is left.
	CALife, ServingLife time.Duration
	// TrustDelay is how long a CA has to be trusted before a certificate of it is
	// shown. 5 s by default: what an API server may take to hear of a change.
	TrustDelay time.Duration
	// Interval of the checks beside those that a change causes, 30 s by default and up
	// to half of it longer.
	Interval time.Duration
	// Jitter is how long at most a replica holds back from writing, 1 s by default, so
	// that another one's write is seen instead. Negative for none.
	Jitter time.Duration

	Clock clock.WithTicker
	Log   logr.Logger
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		value *time.Duration
		unset time.Duration
	}{
		{&o.CALife, 365 * 24 * time.Hour},
		{&o.ServingLife, 90 * 24 * time.Hour},
		{&o.TrustDelay, 5 * time.Second},
		{&o.Interval, 30 * time.Second},
		{&o.Jitter, time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.unset
		}
	}
	return o
}

// retryAfter is when a check that failed is repeated, or up to half as much later.
const retryAfter = 2 * time.Second

// Keeper reads the Secret on every replica, writes it where it has to be, and knows
// which certificate to show. Its methods may be called from several goroutines.
type Keeper struct {
	opts      Options
	authority authority
	nudge     chan struct{}

	mu        sync.Mutex
	served    served
	ahead     string // resource version of the Secret that the cache has to reach; empty where it has
	problem   error  // with the Secret as it was read last; nil for none
	bundle    []byte
	listeners []func()
}

var (
	_ manager.Runnable               = (*Keeper)(nil)
	_ manager.LeaderElectionRunnable = (*Keeper)(nil)
)

// New returns a Keeper that has read nothing yet.
func New(opts Options) *Keeper {
	opts = opts.withDefaults()
	server := ServerName(opts.Namespace)
	return &Keeper{
		opts: opts,
		authority: authority{
			caLife: opts.CALife, servingLife: opts.ServingLife,
			names: append([]string{server, server + ".cluster.local", ServiceName}, opts.Names...),
		},
		nudge:   make(chan struct{}, 1),
		served:  served{delay: opts.TrustDelay},
		problem: errors.New("it has not been read yet"),
	}
}

// NeedLeaderElection is false: a standby serves, too.
func (k *Keeper) NeedLeaderElection() bool { return false }

// Start keeps the Secret until the context ends. No state of the Secret is an error.
func (k *Keeper) Start(ctx context.Context) error {
	for _, obj := range []client.Object{&corev1.Secret{}, &admissionregistrationv1.ValidatingWebhookConfiguration{}} {
		for !k.watch(ctx, obj) {
			if !k.pause(ctx, wait.Jitter(time.Second, 1), nil) {
				return nil
			}
		}
	}
	said := ""
	for {
		next := wait.Jitter(k.opts.Interval, 0.5)
		err := k.check(ctx)
		if err != nil {
			next = min(next, wait.Jitter(retryAfter, 0.5))
		}
		if message := fmt.Sprint(err); message != said && ctx.Err() == nil {
			if said = message; err != nil {
				k.opts.Log.Error(err, "there is a problem with the webhook's certificate")
			}
		}
		if !k.pause(ctx, next, k.nudge) {
			return nil
		}
	}
}

// watch has changes of a kind's objects cause a check. It returns false where that has
// to be tried again.
func (k *Keeper) watch(ctx context.Context, obj client.Object) bool {
	informer, err := k.opts.Cache.GetInformer(ctx, obj)
	if err == nil {
		wake := func(any) {
			select {
			case k.nudge <- struct{}{}:
			default:
			}
		}
		_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: wake, UpdateFunc: func(_, obj any) { wake(obj) }, DeleteFunc: wake,
		})
	}
	if err == nil {
		return true
	}
	if ctx.Err() == nil {
		k.opts.Log.Error(err, "cannot watch what the webhook's certificate depends on")
	}
	return false
}

// pause waits, or until it is woken, and returns false when the context ends.
func (k *Keeper) pause(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := k.opts.Clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-wake:
	case <-timer.C():
	}
	return true
}

func (k *Keeper) key() client.ObjectKey {
	return client.ObjectKey{Namespace: k.opts.Namespace, Name: SecretName}
}

// check brings the replica up to date with the cache, and the Secret where it is due.
func (k *Keeper) check(ctx context.Context) error {
	if err := k.readConfiguration(ctx); err != nil {
		return err
	}
	var secret corev1.Secret
	if err := k.opts.Client.Get(ctx, k.key(), &secret); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("read secret %s: %w", k.key(), err)
	}
	m, err := k.load(&secret, false)
	if !k.opts.Rotate {
		return err
	}
	if what, _ := k.authority.judge(m, k.opts.Clock.Now()); what == renewNothing {
		return err
	}
	if k.opts.Jitter > 0 && !k.pause(ctx, rand.N(k.opts.Jitter), nil) { //nolint:gosec // nothing secret about it
		return nil
	}
	return k.write(ctx)
}

// writeTries bounds how often a lost race is looked at again in one check.
const writeTries = 5

// write makes what the Secret on the API server lacks.
func (k *Keeper) write(ctx context.Context) error {
	var err error
	for range writeTries {
		if err = k.writeOnce(ctx); !apierrors.IsAlreadyExists(err) && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return err
}

func (k *Keeper) writeOnce(ctx context.Context) error {
	secret := &corev1.Secret{}
	if err := k.opts.Reader.Get(ctx, k.key(), secret); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("read secret %s from the API server: %w", k.key(), err)
	}
	m, err := k.load(secret, true)
	now := k.opts.Clock.Now()
	what, why := k.authority.judge(m, now)
	if what == renewNothing {
		return err
	}
	data, what, err := k.authority.renew(m, what, now)
	if err != nil {
		return err
	}
	if secret.ResourceVersion == "" {
		secret = k.blank()
		maps.Copy(secret.Data, data)
		err = k.opts.Client.Create(ctx, secret)
	} else {
		if secret.Data == nil {
			secret.Data = map[string][]byte{}
		}
		maps.Copy(secret.Data, data)
		err = k.opts.Client.Update(ctx, secret)
	}
	if err != nil {
		return fmt.Errorf("write secret %s: %w", k.key(), err)
	}
	k.opts.Log.Info("wrote the webhook's certificate", "secret", k.key().String(), "renewed", what.String(), "because", why)
	_, err = k.load(secret, true)
	return err
}

func (k *Keeper) blank() *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: SecretName, Namespace: k.opts.Namespace,
			Labels: map[string]string{"app.kubernetes.io/name": "mainstay", "app.kubernetes.io/part-of": "mainstay", v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
		},
		Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{},
	}
}

// load takes what a Secret holds, from the API server itself or else from the cache, which
// may be behind what this replica wrote. What cannot be served leaves what is. The error
// says why.
func (k *Keeper) load(secret *corev1.Secret, live bool) (material, error) {
	if secret.ResourceVersion == "" {
		return material{}, k.blame(fmt.Errorf("secret %s is missing", k.key()))
	}
	m, err := parse(secret.Data)
	now := k.opts.Clock.Now()
	if err == nil {
		err = m.verify(now, ServerName(k.opts.Namespace), m.bundle...)
	}
	if err != nil {
		return m, k.blame(fmt.Errorf("secret %s: %w", k.key(), err))
	}
	defer k.notify()
	k.mu.Lock()
	defer k.mu.Unlock()
	if live {
		k.ahead = secret.ResourceVersion
	} else if order, err := resourceversion.CompareResourceVersion(secret.ResourceVersion, k.ahead); err == nil && order < 0 {
		return m, nil
	} else {
		k.ahead = ""
	}
	k.served.load(m, now)
	k.problem = nil
	return m, nil
}

func (k *Keeper) blame(err error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.problem = err
	return err
}

// readConfiguration takes the CAs that the webhook configuration trusts.
func (k *Keeper) readConfiguration(ctx context.Context) error {
	var config admissionregistrationv1.ValidatingWebhookConfiguration
	if err := k.opts.Client.Get(ctx, client.ObjectKey{Name: ConfigurationName}, &config); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("read ValidatingWebhookConfiguration %s: %w", ConfigurationName, err)
	}
	var entries [][]*x509.Certificate
	for i := range config.Webhooks {
		cas, err := cert.ParseCertsPEM(config.Webhooks[i].ClientConfig.CABundle)
		if err != nil {
			cas = nil // trusts nobody
		}
		entries = append(entries, cas)
	}
	now := k.opts.Clock.Now()
	defer k.notify()
	k.mu.Lock()
	defer k.mu.Unlock()
	since := now
	if !k.served.known {
		since = lastWritten(&config, now)
	}
	k.served.trust(entries, since)
	k.served.settle(now)
	return nil
}

// lastWritten is when a configuration was written last, as far as it says so: a replica
// that starts need not wait for what has been trusted for days.
func lastWritten(config *admissionregistrationv1.ValidatingWebhookConfiguration, now time.Time) time.Time {
	last := config.CreationTimestamp.Time
	for _, entry := range config.ManagedFields {
		if entry.Time == nil {
			return now
		}
		if entry.Time.After(last) {
			last = entry.Time.Time
		}
	}
	if len(config.ManagedFields) == 0 || last.After(now) {
		return now
	}
	return last
}

// GetCertificate is that of a tls.Config. It returns the newest certificate that all API
// servers trust; the newest of all where nothing was shown before, or where the
// configuration has no entries.
func (k *Keeper) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if m := k.served.choose(k.opts.Clock.Now()); m != nil {
		return m.pair, nil
	}
	return nil, fmt.Errorf("there is no certificate yet: %w", k.problem)
}

// Bundle is what the webhook configuration is to trust, as PEM: the CAs of the Secret,
// the newest first, and those that the configuration trusts already, at most 3 and none
// that has expired. It is nil before the first certificate is loaded, when no entry
// should be written.
func (k *Keeper) Bundle() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return encode(k.served.bundle(k.opts.Clock.Now()))
}

// Roots are the CAs by which replicas know each other: those of Bundle.
func (k *Keeper) Roots() *x509.CertPool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return pool(k.served.bundle(k.opts.Clock.Now()))
}

// OnChange has f called, without arguments and from the Keeper's goroutine, when Bundle
// has changed. It must not block.
func (k *Keeper) OnChange(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.listeners = append(k.listeners, f)
}

// notify tells the listeners where the bundle has changed.
func (k *Keeper) notify() {
	bundle := k.Bundle()
	k.mu.Lock()
	changed, listeners := !bytes.Equal(bundle, k.bundle), k.listeners
	k.bundle = bundle
	k.mu.Unlock()
	if !changed {
		return
	}
	for _, f := range listeners {
		f()
	}
}

// Ready returns nil where API servers accept what this replica shows them.
func (k *Keeper) Ready() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.opts.Clock.Now()
	m := k.served.choose(now)
	switch {
	case m == nil:
		return fmt.Errorf("there is no certificate to serve yet: %w", k.problem)
	case expired(m, now):
		return fmt.Errorf("the serving certificate expired at %s", m.pair.Leaf.NotAfter.Format(time.RFC3339))
	case !k.served.known:
		return errors.New("the webhook configuration has not been read yet")
	case k.served.entries && !k.served.accepted(m, now, k.opts.TrustDelay):
		return errors.New("not all API servers trust the CA of the serving certificate yet")
	}
	return nil
}

// Expiry is when the certificate that is shown ends; the zero time where there is none.
func (k *Keeper) Expiry() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	if m := k.served.choose(k.opts.Clock.Now()); m != nil {
		return m.pair.Leaf.NotAfter
	}
	return time.Time{}
}

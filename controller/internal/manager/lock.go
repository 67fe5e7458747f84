package manager

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=mainstay-system,resources=leases,verbs=get;create;update

// leastHurry is what a late leader has for a request however close its deadlines are.
const leastHurry = 200 * time.Millisecond

// newLock returns the Lease. Its client has a rate limit of its own, so that no load
// of the program's other requests costs it the leadership, and a timeout of half the
// renew deadline. It shares their connection, as client-go has it: a leader that hears
// nothing by it must not go on to lead by another one.
func newLock(cfg *rest.Config, opts Options) (*guardedLock, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.RateLimiter = nil
	cfg.QPS, cfg.Burst = 20, 40
	lock, err := resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, opts.PodNamespace, LeaseName,
		resourcelock.ResourceLockConfig{Identity: opts.PodName}, cfg, opts.RenewDeadline)
	if err != nil {
		return nil, fmt.Errorf("make the lock on lease %s/%s: %w", opts.PodNamespace, LeaseName, err)
	}
	return &guardedLock{
		Interface: lock, log: opts.Log.WithName("leader-election"), deadline: opts.RenewDeadline,
		hurry: max((opts.LeaseDuration-opts.RenewDeadline-opts.RetryPeriod)/2, leastHurry),
	}, nil
}

// guardedLock logs who leads whenever that changes, on every replica, and never
// releases a Lease that somebody else holds.
type guardedLock struct {
	resourcelock.Interface
	log logr.Logger
	// deadline is how long after a renewal client-go may give up, and hurry what each request has
	// from then on: two of them end before the Lease does.
	deadline, hurry time.Duration

	mu      sync.Mutex
	holder  string
	renewed time.Time // by this process; the zero time before
}

// Get reads the Lease.
func (l *guardedLock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	ctx, cancel := l.hurried(ctx)
	defer cancel()
	record, raw, err := l.Interface.Get(ctx)
	if err == nil && record != nil {
		l.announce(record.HolderIdentity)
	}
	return record, raw, err
}

// Create makes the Lease.
func (l *guardedLock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	err := l.Interface.Create(ctx, record)
	if err == nil {
		l.renew(record.HolderIdentity)
	}
	return err
}

// Update renews, takes or releases the Lease. client-go releases by what it
// remembers: it reads the Lease anew, so that the write succeeds, and clears it
// without a look at who holds it now. A leader that was paused past its lease
// would so take the leadership from its successor when it wakes up and exits.
// A renewal that it gave up for the release may still be written between the two, and
// nobody would lead for as long as that counts: the release is tried once more.
func (l *guardedLock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	err := l.update(ctx, record)
	if record.HolderIdentity != "" || !apierrors.IsConflict(err) {
		return err
	}
	if _, _, err := l.Get(ctx); err != nil {
		return err
	}
	return l.update(ctx, record)
}

func (l *guardedLock) update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	if holder := l.lastSeen(); record.HolderIdentity == "" && holder != l.Identity() {
		return fmt.Errorf("release lease %s: it is held by %q now", l.Describe(), holder)
	}
	ctx, cancel := l.hurried(ctx)
	defer cancel()
	err := l.Interface.Update(ctx, record)
	if err == nil {
		l.renew(record.HolderIdentity)
	}
	return err
}

// hurried bounds what is asked by a leader that has not renewed the Lease in time. client-go
// reads and releases it before it says that this replica leads no more, and with an API server
// that is slow both take longer than another replica needs to lead.
func (l *guardedLock) hurried(ctx context.Context) (context.Context, context.CancelFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holder == l.Identity() && !l.renewed.IsZero() && time.Since(l.renewed) >= l.deadline {
		return context.WithTimeout(ctx, l.hurry)
	}
	return ctx, func() {}
}

// renewedWithin says whether this replica renewed or took the Lease that lately. A leader that
// lost it and did not was paused.
func (l *guardedLock) renewedWithin(lately time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.renewed.IsZero() && time.Since(l.renewed) <= lately
}

func (l *guardedLock) lastSeen() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.holder
}

// renew notes a write of this replica's.
func (l *guardedLock) renew(holder string) {
	l.announce(holder)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renewed = time.Now()
}

func (l *guardedLock) announce(holder string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if holder == l.holder {
		return
	}
	l.holder = holder
	switch holder {
	case "":
		l.log.Info("nobody leads", "lease", l.Describe())
	case l.Identity():
		l.log.Info("this replica leads", "lease", l.Describe(), "leader", holder)
	default:
		l.log.Info("another replica leads", "lease", l.Describe(), "leader", holder)
	}
}

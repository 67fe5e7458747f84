package manager

import (
	"context"
	"fmt"
	"sync"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=mainstay-system,resources=leases,verbs=get;create;update

// newLock returns the Lease. Its client has a rate limit and connections of
// its own, so that no load of the program's other requests costs it the
// leadership, and a timeout of half the renew deadline.
func newLock(cfg *rest.Config, opts Options) (resourcelock.Interface, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.RateLimiter = nil
	cfg.QPS, cfg.Burst = 20, 40
	lock, err := resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, opts.PodNamespace, LeaseName,
		resourcelock.ResourceLockConfig{Identity: opts.PodName}, cfg, opts.RenewDeadline)
	if err != nil {
		return nil, fmt.Errorf("make the lock on lease %s/%s: %w", opts.PodNamespace, LeaseName, err)
	}
	return &announcedLock{Interface: lock, log: opts.Log.WithName("leader-election")}, nil
}

// announcedLock logs who leads whenever that changes, on every replica.
type announcedLock struct {
	resourcelock.Interface
	log logr.Logger

	mu     sync.Mutex
	holder string
}

// Get reads the Lease.
func (l *announcedLock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	if err == nil && record != nil {
		l.announce(record.HolderIdentity)
	}
	return record, raw, err
}

// Create makes the Lease.
func (l *announcedLock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	err := l.Interface.Create(ctx, record)
	if err == nil {
		l.announce(record.HolderIdentity)
	}
	return err
}

// Update renews, takes or releases the Lease.
func (l *announcedLock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	err := l.Interface.Update(ctx, record)
	if err == nil {
		l.announce(record.HolderIdentity)
	}
	return err
}

func (l *announcedLock) announce(holder string) {
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

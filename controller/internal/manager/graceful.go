package manager

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"
	ctrlmanager "sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/mainstay-dev/mainstay/controller/internal/health"
)

// drain is how long a replica that was told to stop goes on serving. Without a webhook
// nobody calls it.
func (o Options) drain() time.Duration {
	if o.WebhookAddr == webhookOff {
		return 0
	}
	return o.DrainTime
}

// gracefully is a manager that stops in two steps: callers leave first.
type gracefully struct {
	ctrlmanager.Manager
	drainer *health.Drainer
	drain   time.Duration
	clock   clock.WithTicker
	log     logr.Logger
}

// unheard is the part of the drain in which the endpoints of the Service follow, before
// callers are sent away. Of a pod that is deleted they do within a second or two.
const unheard = 3

// Start runs the manager. When the context ends, the replica says that it is not ready
// and goes on for the time of the drain, leader or not; then the manager stops and releases
// the Lease. A manager that ends by itself, as for a lost Lease, ends at once.
func (g *gracefully) Start(ctx context.Context) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go func() {
		select {
		case <-running.Done():
			return
		case <-ctx.Done():
		}
		g.drainer.Drain()
		defer stop()
		if g.drain <= 0 {
			return
		}
		g.log.Info("this replica stops: callers have time to find another one", "drain", g.drain.String())
		away, over := g.clock.NewTimer(g.drain/unheard), g.clock.NewTimer(g.drain)
		defer away.Stop()
		defer over.Stop()
		for _, timer := range []clock.Timer{away, over} {
			select {
			case <-running.Done():
				return
			case <-timer.C():
				g.drainer.SendAway()
			}
		}
	}()
	return g.Manager.Start(running)
}

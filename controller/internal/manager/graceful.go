package manager

import (
	"context"
	"errors"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"k8s.io/utils/clock"
	ctrlmanager "sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/mainstay-dev/mainstay/controller/internal/health"
)

// drain is how long a replica that was told to stop goes on serving. Without a webhook
// nobody calls it.
func (o Options) drain() time.Duration {
	if o.WebhookAddr == off {
		return 0
	}
	return o.DrainTime
}

// gracefully is a manager whose callers leave before its servers stop.
type gracefully struct {
	ctrlmanager.Manager
	// servers answer for longer than the manager runs.
	servers []*ctrlmanager.Server
	drainer *health.Drainer
	drain   time.Duration
	// led says whether this replica was the leader within the lease duration.
	led   func() bool
	clock clock.WithTicker
	log   logr.Logger
}

// unheard is the part of the drain in which the endpoints of the Service follow, before
// callers are sent away. Of a pod that is deleted they do within a second or two.
const unheard = 3

// Start runs the manager, and its servers beside it. When the context ends, the replica says
// that it is not ready and goes on for the time of the drain, leader or not; then the manager
// stops and releases the Lease. A leader that lost it acts no more and answers for as long, by
// what it read last; one that was paused does not: that is too old.
func (g *gracefully) Start(ctx context.Context) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	serving, hangUp := context.WithCancel(logr.NewContext(context.WithoutCancel(ctx), g.log))
	defer hangUp()
	servers, serving := errgroup.WithContext(serving)
	for _, server := range g.servers {
		servers.Go(func() error { return server.Start(serving) })
	}
	var err error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err = g.Manager.Start(running)
	}()

	select {
	case <-ctx.Done():
		g.log.Info("this replica stops: callers have time to find another one", "drain", g.drain.String())
		g.leave(serving, ended)
	case <-ended:
		if g.led() {
			g.log.Error(err, "this replica acts no more: callers have time to find another one", "drain", g.drain.String())
			g.leave(serving, ended)
		}
	case <-serving.Done(): // one of the servers failed
	}
	stop()
	hangUp()
	<-ended
	return errors.Join(err, servers.Wait())
}

// leave has callers leave until the drain is over, or what they are told is too old.
func (g *gracefully) leave(serving context.Context, ended <-chan struct{}) {
	g.drainer.Drain()
	if g.drain <= 0 {
		return
	}
	away, over := g.clock.NewTimer(g.drain/unheard), g.clock.NewTimer(g.drain)
	defer away.Stop()
	defer over.Stop()
	for timers := []clock.Timer{away, over}; len(timers) > 0; {
		select {
		case <-serving.Done():
			return
		case <-ended:
			if !g.led() {
				return
			}
			ended = nil
		case <-timers[0].C():
			g.drainer.SendAway()
			timers = timers[1:]
		}
	}
}

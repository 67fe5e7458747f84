package health

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// The paths that a replica has to serve on the webhook's port.
const (
	// PathSelfReview takes an AdmissionReview of the replica itself, and allows it by
	// the way that others' reviews go.
	PathSelfReview = "/admit/self-review"
	// PathHeard is where replicas ask each other whether they hear the API server.
	PathHeard = "/heard"
)

const (
	// interval of the questions to itself, and to others where it has any.
	interval = 2 * time.Second
	// selfTimeout bounds one review of its own, selfWithin how old an answer may be:
	// two in a row may be lost.
	selfTimeout = time.Second
	selfWithin  = 6 * time.Second
	// askAfter is the silence after which the API server is asked; the poll of the Lease
	// usually comes first. askTimeout bounds the answer.
	askAfter   = 3 * time.Second
	askTimeout = 2 * time.Second
	// heardWithin is the silence after which another replica is asked for its opinion.
	heardWithin = 15 * time.Second
	// heardLately is what another replica must have heard within to have one. An API
	// server that goes away was heard by everybody within the 5 s before, of askAfter
	// and interval, so that nobody is asked who has not noticed yet.
	heardLately = 7500 * time.Millisecond
	// peerTimeout bounds one answer of another replica, maxPeers how many are asked.
	peerTimeout = time.Second
	maxPeers    = 5
)

// Options of a Health. All have to be given.
type Options struct {
	Clock clock.WithTicker
	// Heard is wrapped around every client of the API server.
	Heard *Heard
	// Ask asks the API server something cheap.
	Ask func(ctx context.Context) error
	// Client returns a client that trusts what replicas show: NewClient.
	Client func() *http.Client
	// Self is host and port of the own webhook server.
	Self string
	// Peers lists host and port of the webhook servers of the other replicas.
	Peers func(ctx context.Context) ([]string, error)
	// Certificate returns why API servers would not accept this replica's certificate.
	Certificate func() error
	Drainer     *Drainer
	Log         logr.Logger
}

// Health collects what is known about a replica. Its methods may be called from several
// goroutines.
type Health struct {
	opts    Options
	reviews reviews

	mu       sync.Mutex
	reviewed time.Time // the last review of its own that was answered
	problem  error     // with the last one
	// missed is whether another replica hears the API server and this one does not.
	missed bool
	// said are the reasons that were logged last, one bit each.
	said int
}

var (
	_ manager.Runnable               = (*Health)(nil)
	_ manager.LeaderElectionRunnable = (*Health)(nil)
)

// New returns a Health that knows nothing yet, so that it is not ready.
func New(opts Options) *Health {
	return &Health{opts: opts, problem: errors.New("none was sent yet")}
}

// NeedLeaderElection is false: a standby serves, too.
func (h *Health) NeedLeaderElection() bool { return false }

// Reviewed takes the outcome of a review. own is whether it failed for a reason of this
// replica's own: a rule's error is none, nor is a request that is denied.
func (h *Health) Reviewed(own bool) { h.reviews.add(h.opts.Clock.Now(), own) }

// Check is the readiness check.
func (h *Health) Check(*http.Request) error {
	return errors.Join(append(h.serves(), h.hears())...)
}

// serves is whether a review that comes in is answered, and the answer accepted: one
// error, or nil, for each thing that this takes.
func (h *Health) serves() []error {
	now := h.opts.Clock.Now()
	return []error{h.opts.Drainer.Check(), h.opts.Certificate(), h.reviews.check(now), h.answered(now)}
}

func (h *Health) answered(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !h.reviewed.IsZero() && now.Sub(h.reviewed) <= selfWithin:
		return nil
	case h.problem == nil: // it was paused, and sends the next one now
		return fmt.Errorf("no review of its own was answered for %s", selfWithin)
	default:
		return fmt.Errorf("no review of its own was answered for %s: %w", selfWithin, h.problem)
	}
}

func (h *Health) hears() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.missed && h.opts.Heard.silence() > heardWithin {
		return fmt.Errorf("the API server is silent here for more than %s, and another replica hears it", heardWithin)
	}
	return nil
}

// ServeHTTP answers, at PathHeard, whether this replica hears the API server and could
// take over from one that does not: 200, or 503.
func (h *Health) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	err := errors.Join(h.serves()...)
	if silence := h.opts.Heard.silence(); silence > heardLately {
		err = errors.Join(err, fmt.Errorf("the API server is silent for %s", silence.Round(time.Second)))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// Start asks, itself and others, until the context ends.
func (h *Health) Start(ctx context.Context) error {
	var wg sync.WaitGroup
	// Each for itself: one that waits for its answer keeps no other one waiting.
	for _, question := range []func(context.Context){h.reviewSelf, h.askAPIServer, h.askPeers} {
		wg.Go(func() {
			ticker := h.opts.Clock.NewTicker(interval)
			defer ticker.Stop()
			for {
				question(ctx)
				h.tell()
				select {
				case <-ctx.Done():
					return
				case <-ticker.C():
				}
			}
		})
	}
	wg.Wait()
	return nil
}

// tell logs when the replica becomes ready, or unready for another reason: not when only
// the words of a reason change, which have counts and ports.
func (h *Health) tell() {
	failing := 0
	errs := append(h.serves(), h.hears())
	for i, err := range errs {
		if err != nil {
			failing |= 1 << i
		}
	}
	h.mu.Lock()
	changed := failing != h.said
	h.said = failing
	h.mu.Unlock()
	switch {
	case !changed:
	case failing == 0:
		h.opts.Log.Info("this replica takes reviews")
	default:
		h.opts.Log.Info("this replica takes no reviews", "because", errors.Join(errs...).Error())
	}
}

func (h *Health) askAPIServer(ctx context.Context) {
	if h.opts.Heard.silence() < askAfter {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	// What it answers does not matter, and that it did is noted on the way.
	if err := h.opts.Ask(ctx); err != nil {
		h.opts.Log.V(1).Info("the API server does not answer", "err", err.Error())
	}
}

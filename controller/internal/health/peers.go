package health

import (
	"context"
	"net/http"
	"sync"
)

// askPeers finds out whether the API server is silent here only.
func (h *Health) askPeers(ctx context.Context) {
	missed := h.opts.Heard.silence() > heardWithin && h.anyPeerHears(ctx)
	// It may have spoken meanwhile.
	missed = missed && h.opts.Heard.silence() > heardWithin
	h.mu.Lock()
	defer h.mu.Unlock()
	h.missed = missed
}

func (h *Health) anyPeerHears(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	peers, err := h.opts.Peers(ctx)
	if err != nil {
		h.opts.Log.V(1).Info("the other replicas are not known", "err", err.Error())
		return false
	}
	var wg sync.WaitGroup
	answers := make(chan bool, maxPeers)
	for _, peer := range peers[:min(len(peers), maxPeers)] {
		wg.Go(func() { answers <- h.peerHears(ctx, peer) })
	}
	wg.Wait()
	close(answers)
	for hears := range answers {
		if hears {
			return true
		}
	}
	return false
}

func (h *Health) peerHears(ctx context.Context, peer string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+peer+PathHeard, http.NoBody)
	if err != nil {
		return false
	}
	_, err = h.send(req)
	return err == nil
}

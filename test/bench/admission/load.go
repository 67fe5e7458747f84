package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// slow is what no request may take.
const slow = time.Second

// patience bounds one request.
const patience = 15 * time.Second

// load sends one request over and over, in an open loop: each when it is due, whether or
// not those before it were answered, and measured from then on.
type load struct {
	client *http.Client
	url    string
	body   []byte
	rate   int
}

// outcome is what became of the requests.
type outcome struct {
	took   []time.Duration // of those that were admitted, in order of size
	failed int
	slow   int
	why    map[string]int // of those that failed
}

func (o *outcome) quantile(q float64) float64 {
	if len(o.took) == 0 {
		return 0
	}
	return o.took[min(len(o.took)-1, int(q*float64(len(o.took))))].Seconds()
}

func (o *outcome) String() string {
	var out strings.Builder
	_, _ = fmt.Fprintf(&out, "%d admitted, p50 %.2f ms, p99 %.2f ms, max %.0f ms; %d failed, %d over %s",
		len(o.took), 1e3*o.quantile(0.5), 1e3*o.quantile(0.99), 1e3*o.quantile(1), o.failed, o.slow, slow)
	for why, n := range o.why {
		_, _ = fmt.Fprintf(&out, "\n      %d × %s", n, why)
	}
	return out.String()
}

// during sends requests until stop is closed, and returns when all are answered.
func (l *load) during(ctx context.Context, stop <-chan struct{}) *outcome {
	var (
		out  = &outcome{why: map[string]int{}}
		mu   sync.Mutex
		all  sync.WaitGroup
		wait = time.NewTimer(0)
	)
	defer wait.Stop()
	began := time.Now()
	for n := 0; ; n++ {
		due := began.Add(time.Duration(n) * time.Second / time.Duration(l.rate))
		wait.Reset(time.Until(due))
		select {
		case <-wait.C:
		case <-ctx.Done():
			all.Wait()
			return out
		case <-stop:
			all.Wait()
			slices.Sort(out.took)
			return out
		}
		all.Go(func() {
			err := l.send(ctx)
			took := time.Since(due)
			mu.Lock()
			defer mu.Unlock()
			if took > slow {
				out.slow++
			}
			if err != nil {
				out.failed++
				if len(out.why) < 10 || out.why[err.Error()] > 0 {
					out.why[err.Error()]++
				}
				return
			}
			out.took = append(out.took, took)
		})
	}
}

// lasts sends requests for a time.
func (l *load) lasts(ctx context.Context, length time.Duration) *outcome {
	stop := make(chan struct{})
	time.AfterFunc(length, func() { close(stop) })
	return l.during(ctx, stop)
}

func (l *load) send(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, bytes.NewReader(l.body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := l.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(said))
	}
	return nil
}

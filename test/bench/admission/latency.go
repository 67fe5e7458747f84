package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/mainstay-dev/mainstay/test/bench"
)

// reviewSeconds is the histogram of the handler.
const reviewSeconds = "mainstay_webhook_review_seconds"

// warmUp is load before what is measured.
const warmUp = 2 * time.Second

// phase is one set of rules.
type phase struct {
	name       string
	rules      int
	references bool
}

func phases() []phase {
	return []phase{
		{name: "bare"},
		{name: "in_process_1", rules: 1},
		{name: "webhook_1", rules: 1, references: true},
		{name: "webhook_10", rules: 10, references: true},
		{name: "webhook_100", rules: 100, references: true},
	}
}

// latency measures every phase in each run, so that ratios are of one run.
func (b *bed) latency(ctx context.Context, metrics map[string]bench.Metric) error {
	values, units := map[string][]float64{}, map[string]string{}
	add := func(name, unit string, value float64) {
		values[name], units[name] = append(values[name], value), unit
	}
	for number := range b.runs {
		var bare *outcome
		for _, phase := range phases() {
			if err := b.rules(ctx, phase.rules, phase.references); err != nil {
				return err
			}
			b.matched.lasts(ctx, warmUp)
			before, err := b.handled(ctx)
			if err != nil {
				return err
			}
			out := b.matched.lasts(ctx, b.length)
			after, err := b.handled(ctx)
			if err != nil {
				return err
			}
			if bare == nil {
				bare = out
			}
			b.say("run %d of %d, %s: %s", number+1, b.runs, phase.name, out)
			add(phase.name+"_p50", "s", out.quantile(0.5))
			add(phase.name+"_p99", "s", out.quantile(0.99))
			add(phase.name+"_max", "s", out.quantile(1))
			add(phase.name+"_failed", "requests", float64(out.failed))
			add(phase.name+"_over_1s", "requests", float64(out.slow))
			if phase.name != "bare" {
				add(phase.name+"_p50_ratio", "x", out.quantile(0.5)/bare.quantile(0.5))
				add(phase.name+"_p99_ratio", "x", out.quantile(0.99)/bare.quantile(0.99))
			}
			if !phase.references {
				continue
			}
			if after.starts != before.starts {
				b.say("      handler: a replica started anew meanwhile, so nothing is known of it")
				continue
			}
			of := after.since(before)
			b.say("      handler: %d reviews, p50 %.2f ms, p99 %.2f ms, %.0f µs of processor each", of.reviews, 1e3*of.quantile(0.5), 1e3*of.quantile(0.99), 1e6*of.cpuEach())
			add(phase.name+"_handler_p50", "s", of.quantile(0.5))
			add(phase.name+"_handler_p99", "s", of.quantile(0.99))
			add(phase.name+"_cpu_per_review", "s", of.cpuEach())
			if phase.rules == 10 {
				calls, err := b.notAsked(ctx)
				if err != nil {
					return err
				}
				add("unmatched_calls", "calls", float64(calls))
			}
		}
	}
	for name, of := range values {
		metrics[name] = bench.Of(units[name], of...)
	}
	return nil
}

// notAsked sends what no rule is about, and returns how often the API server called
// the webhook for it. That is the API server's own count: replicas review themselves, too.
func (b *bed) notAsked(ctx context.Context) (int, error) {
	before, err := b.called(ctx)
	if err != nil {
		return 0, err
	}
	if before == 0 {
		return 0, errors.New("the API server counts no calls of the webhook")
	}
	out := b.unmatched.lasts(ctx, warmUp)
	after, err := b.called(ctx)
	if err != nil {
		return 0, err
	}
	calls := after - before
	b.say("      what no rule is about: %s: %d calls of the webhook", out, calls)
	if calls > 0 {
		return calls, fmt.Errorf("%d calls of the webhook for %d requests that match no rule", calls, len(out.took))
	}
	return 0, nil
}

// called is how often the API server has called the webhook.
func (b *bed) called(ctx context.Context) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.cluster.Config().Host+"/metrics", http.NoBody)
	if err != nil {
		return 0, fmt.Errorf("read the metrics of the API server: %w", err)
	}
	resp, err := b.http.Do(req)
	if err != nil {
		return 0, fmt.Errorf("read the metrics of the API server: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		return 0, fmt.Errorf("read the metrics of the API server: %w", err)
	}
	n := 0.0
	for _, metric := range families["apiserver_admission_webhook_request_total"].GetMetric() {
		for _, label := range metric.GetLabel() {
			if label.GetName() == "name" && strings.HasSuffix(label.GetValue(), ".mainstay.dev") {
				n += metric.GetCounter().GetValue()
			}
		}
	}
	return int(n), nil
}

// handler is what the replicas together have done.
type handler struct {
	reviews uint64
	buckets map[float64]uint64 // cumulative, by their upper bound
	cpu     time.Duration
	starts  int // of processes, which count from zero
}

// handled reads it off the replicas' metrics and processes.
func (b *bed) handled(ctx context.Context) (handler, error) {
	out := handler{buckets: map[float64]uint64{}}
	for _, r := range b.replicas.Running() {
		// On a machine that has too much to do it may have lost its lease, and be starting.
		var families map[string]*dto.MetricFamily
		err := b.until(ctx, "replica "+r.Pod()+" answers", func(ctx context.Context) (err error) {
			families, err = r.Metrics(ctx)
			return err
		})
		if err != nil {
			return out, err
		}
		for _, metric := range families[reviewSeconds].GetMetric() {
			out.add(metric.GetHistogram())
		}
		cpu, err := r.CPU()
		if err != nil {
			return out, err
		}
		out.cpu += cpu
		out.starts += r.Starts()
	}
	return out, nil
}

func (h *handler) add(histogram *dto.Histogram) {
	h.reviews += histogram.GetSampleCount()
	for _, bucket := range histogram.GetBucket() {
		h.buckets[bucket.GetUpperBound()] += bucket.GetCumulativeCount()
	}
	h.buckets[math.Inf(1)] = h.reviews
}

func (h handler) since(before handler) handler {
	out := handler{reviews: h.reviews - before.reviews, cpu: h.cpu - before.cpu, buckets: map[float64]uint64{}}
	for bound, n := range h.buckets {
		out.buckets[bound] = n - before.buckets[bound]
	}
	return out
}

// cpuEach is the processor time of a replica for each review, that of everything else
// that it did meanwhile included, in seconds.
func (h handler) cpuEach() float64 {
	if h.reviews == 0 {
		return 0
	}
	return h.cpu.Seconds() / float64(h.reviews)
}

// quantile is Prometheus' histogram_quantile: linear within the bucket.
func (h handler) quantile(q float64) float64 {
	rank := q * float64(h.reviews)
	lower, below := 0.0, uint64(0)
	for _, bound := range sortedKeys(h.buckets) {
		n := h.buckets[bound]
		if float64(n) >= rank && n > below {
			if math.IsInf(bound, 1) {
				return lower
			}
			return lower + (bound-lower)*(rank-float64(below))/float64(n-below)
		}
		lower, below = bound, n
	}
	return lower
}

package metrics

import "github.com/prometheus/client_golang/prometheus"

// CacheStats are the counters of the cache of compiled expressions.
type CacheStats struct {
	Hits, Misses, Evictions uint64
	Entries                 int
}

// RegisterExpressionCache exports the counters, read at each scrape.
func RegisterExpressionCache(registry prometheus.Registerer, stats func() CacheStats) error {
	lookups := func(result string, value func(CacheStats) uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name:        "mainstay_expression_cache_lookups_total",
			Help:        "Look-ups in the cache of compiled expressions, by result.",
			ConstLabels: prometheus.Labels{labelResult: result},
		}, func() float64 { return float64(value(stats())) })
	}
	for _, c := range []prometheus.Collector{
		lookups("hit", func(s CacheStats) uint64 { return s.Hits }),
		lookups("miss", func(s CacheStats) uint64 { return s.Misses }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "mainstay_expression_cache_evictions_total",
			Help: "Compiled expressions that the cache's bounds pushed out.",
		}, func() float64 { return float64(stats().Evictions) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "mainstay_expression_cache_entries",
			Help: "Rules whose compiled expressions are kept.",
		}, func() float64 { return float64(stats().Entries) }),
	} {
		if err := registry.Register(c); err != nil {
			return err
		}
	}
	return nil
}

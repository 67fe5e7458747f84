package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// RegisterCertificate exports when the webhook's certificate ends, read at each scrape.
// The zero time, for none, is exported as 0.
func RegisterCertificate(registry prometheus.Registerer, expiry func() time.Time) error {
	return registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "mainstay_webhook_certificate_expiration_timestamp_seconds",
		Help: "When the certificate that this replica's webhook serves ends, in Unix seconds; 0 without one.",
	}, func() float64 {
		if at := expiry(); !at.IsZero() {
			return float64(at.Unix())
		}
		return 0
	}))
}

// Package metrics names every metric and label that Mainstay exports. All are
// prefixed mainstay_ and documented in docs/metrics.md.
package metrics

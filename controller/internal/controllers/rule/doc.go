// Package rule follows ClusterRules and Rules. The Loader hands them to those
// who judge by them on every replica; the Reconciler, on the leader, writes what the audit
// found: status, Events and metrics.
package rule

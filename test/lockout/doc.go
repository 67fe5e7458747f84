// Package lockout has the proof that no state of Mainstay keeps a cluster from
// recovering, and that none waves through what a fail-closed rule refuses. Its tests
// bring real replicas and a real API server into each of the states that have locked
// clusters of others.
package lockout

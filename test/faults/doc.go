// Package faults breaks a cluster of package cluster in the ways that clusters break,
// and mends it again. Each fault is data (what it is called, what it does, what it
// needs to be aimed at, how long it lasts) with two acts: Inject returns when the
// fault is in force, Heal leaves nothing of it behind. Nothing is simulated: packets
// are dropped by the worker's own netfilter, processes are stopped and killed by the
// kernel, a drain is kubectl's.
//
// The end-to-end suite, the drill and the tests of this package all use it through
// All and Named.
package faults

// Package stall measures how long reconciliation stands still after a fault.
//
// A Meter commits a change to Git every two seconds and watches for each one to be
// live in the cluster, on one monotonic clock. What the figures mean is in Measure,
// a pure function over what the meter saw.
package stall

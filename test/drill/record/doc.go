// Package record keeps what the drill measured: one JSON file for each run,
// written as the run ends, so that a drill that was interrupted goes on where it
// stopped.
package record

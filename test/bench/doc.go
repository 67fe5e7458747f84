// Package bench writes what a benchmark measured to a JSON file, one file per
// benchmark and all in one shape, so that figures of two commits or two machines
// can be compared without knowing which benchmark they are from.
package bench

// Package live reads what a running cluster serves and holds, for a check that
// compares with it. It gets and lists, and does nothing else.
package live

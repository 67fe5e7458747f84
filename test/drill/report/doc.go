// Package report turns the runs of a drill into figures, a Markdown table and a
// picture. It says a percentile only where the number of runs supports it, and a
// run that did not recover is never a number.
package report

// Package output writes the report of a check: for people, for programs, and in
// the formats that code hosts and test viewers read.
package output

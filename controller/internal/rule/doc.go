// Package rule turns a ClusterRule or Rule into something that matches objects
// and judges them.
//
// It is pure: objects, the lists that a rule refers to and the time are handed
// in, findings come out. Every finding has one of the documented outcomes, and
// an evaluation that goes wrong is an outcome of its own, never "no violation".
package rule

// Package webhook judges requests by the rules that the API server cannot
// evaluate, on every replica.
//
// The Engine keeps the lists of objects that rules refer to ready: they are made
// when an object changes, not when a request comes. A review asks nobody
// anything and takes no lock that a writer holds. It writes nothing either: what
// it decides is in its answer alone.
//
// What follows from an error is the rule's failurePolicy, never "no violation".
package webhook

// Package audit evaluates rules on the objects that exist, on every replica.
//
// The Engine keeps an informer's worth of objects for exactly the kinds that
// rules match or refer to, and evaluates again what a change makes necessary
// and nothing else: a changed object for the rules that match it, what sees a
// changed object through a reference, everything for a changed rule. It writes
// nothing: what it found is read by whoever leads.
package audit

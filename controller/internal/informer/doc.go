// Package informer runs one informer for each kind that somebody wants to read,
// for as long as it is wanted, exists and may be read.
//
// Consumers declare what they want; the set starts, stops and replaces
// informers accordingly, keeps only the fields that somebody reads, follows
// CustomResourceDefinitions as they come and go, and says of each kind whether
// it is synced, absent or forbidden. It runs on every replica, so that a
// standby takes over warm, and it only reads.
package informer

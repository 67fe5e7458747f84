// Package recovery has what a cluster recovers by: who keeps it going, and objects of
// every kind that no rule may ever keep from them. A test walks that path with each of
// its users, in whatever state it brought Mainstay into.
package recovery

// Package status writes the status of Mainstay's own kinds: by server-side
// apply, only where it differs, never by force, and never on another object, or
// another version of it, than the one that it speaks of.
package status

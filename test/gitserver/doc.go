// Package gitserver serves Git repositories over http, for Flux to follow.
//
// It is read-only from outside: commits are made locally, straight into the bare
// repositories, each in one git process and without a work tree. Only git itself is
// needed, and the configuration of the user and of the machine is not read, so that
// the same commit comes out everywhere.
package gitserver

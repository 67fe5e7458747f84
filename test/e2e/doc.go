// Package e2e has the tests that need everything at once: real workers, real Flux,
// and this project's package installed by Flux from Git. They are built with the tag
// e2e and run by `make e2e`, as root.
package e2e

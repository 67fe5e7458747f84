// Package tools builds the programs that the project pins in the modules below
// tools/ into a cache of the user's, outside the tree: the control plane that tests
// and the demo run on, what real workers run and what runs on them as pods, and what
// the Makefile calls. All are static. Each is built once for one go.mod, go.sum and Go
// version, however many processes ask for it at once, and the Go module proxy is all
// that is downloaded from.
package tools

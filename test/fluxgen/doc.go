// Package fluxgen produces the real Flux 2.9 install manifests, as `flux
// install --export` prints them, without the network that it needs: flux2's own
// generator runs over a base folder that is built from the controllers' Go
// modules, which tools/flux/go.mod pins.
//
// The base of a controller whose module the Go module proxy does not offer is
// read from flux-operator's distribution folder in the module cache. It is read
// when it is needed and nothing of it is kept.
package fluxgen

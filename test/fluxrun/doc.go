// Package fluxrun runs Flux on a test cluster: it installs the real manifests, or
// flux-operator with a FluxInstance, points Flux at Git, and puts its controllers
// where a drill wants them.
//
// Nothing is pulled: the images that Images names have to be on the workers.
//
// Flux's objects are written as unstructured ones, as everywhere in the project, so
// that its API modules are no dependency.
package fluxrun

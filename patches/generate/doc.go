// Command generate writes the patch sets of this repository for a FluxInstance.
//
// A set such as patches/flux-ha is a kustomize Component that patches Flux's own
// manifests. Where flux-operator installs Flux, there are no such manifests in
// Git: the patches belong into spec.kustomize.patches of the FluxInstance, which
// flux-operator applies when it runs. patches/flux-ha-instance is a Component
// that puts the patches of patches/flux-ha there, behind those that are there
// already, and adds the objects that a FluxInstance cannot.
//
// Run it from the root of the repository, as: go run ./patches/generate
package main

// Demo shows Mainstay's main job on a real control plane: the real Flux
// manifests, stacked on one worker, found out, healed, and surviving that
// worker's loss and the loss of Mainstay's own leader.
//
// The API server, the scheduler and the controllers of Kubernetes are real, and
// so are the two Mainstay processes, which run with the rights of the package's
// ServiceAccount. Workers are simulated: their pods run no process, so the demo
// renews the Leases that Flux's controllers would.
package main

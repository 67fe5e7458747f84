// Package host knows what real workers change in the machine that they run on, and
// takes it back: a number for each cluster with the addresses, names and cgroups that
// follow from it, the bridge and the routes, and the kernel's settings.
//
// Everything that is not inside a worker's own namespaces is made here, so that
// Release can remove it without knowing how far a start came.
package host

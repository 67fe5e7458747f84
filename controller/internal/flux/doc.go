// Package flux holds what Mainstay knows of Flux: how each controller stays
// available, and how to tell from a consumer's status that it stopped following
// its source.
//
// Flux's objects are read as unstructured ones: Mainstay works beside whatever
// version of Flux is installed, and on a cluster without it.
package flux

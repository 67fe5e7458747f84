// Package render builds what a tree of kustomizations gives, and for every
// FluxInstance in it also what flux-operator makes of that instance, and says of
// every patch which objects it selected and which fields it really changed.
//
// The objects come from kustomize's own build. The patches are verified beside
// it, in kustomize's order of transformers, on the objects as each patch meets
// them: a name prefix, a namespace or a label that kustomize adds later is not
// there yet, as it is not for kustomize.
//
// What a FluxInstance gives is one more kustomization, over the distribution's
// base manifests, in the shape that flux-operator's documentation and its
// recorded outputs have; the instance's own patches are verified on it in the
// same way.
//
// Nothing here uses the network, except for a distribution that is named by an
// OCI reference: remote bases, plugins and charts are refused. A tree is read
// below one root only, within bounds on the size and the number of files, and
// every mistake in it is an [Error] with file and line.
package render

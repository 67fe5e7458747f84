// Package gitops has Flux install this project from Git, the way flux/README.md
// tells a user to: one repository with the project's own folders, and a second one,
// the user's, with the manifests of flux/ in it.
package gitops

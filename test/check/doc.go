// Package check plants mistakes, one at a time, in a good repository and asks
// "mainstay check" for them: each must be found by name, at its file and line,
// and nothing else.
//
// The folder good is the repository; Flux's manifests (gotk-components.yaml) and
// this repository's patches are added to it when a test runs. Each folder of
// mistakes holds the files that differ from the good ones, and want.yaml.
package check

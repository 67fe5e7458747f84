// Drill measures how long GitOps stands still after a fault: it runs faults on a
// real cluster with real Flux and a commit every few seconds, once with Flux as it
// is released, once with the patches of this project and once with Mainstay, and
// writes what it found as JSON, as a Markdown table and as a picture.
//
// It needs Linux, root and the packages of `make e2e-packages`. Each run's record is
// kept as the run ends, and a drill that is started again goes on where the last one
// stopped. docs/recovery.md says how to run it and how to read it.
package main

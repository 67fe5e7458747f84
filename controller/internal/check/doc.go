// Package check says what a tree of manifests would do to a cluster before
// anybody merges it: whether every patch hits and really changes something,
// whether the rules hold of what comes out, and whether the Lifelines would
// outlive the loss of a worker.
//
// It judges a render, with the code that judges the live cluster: rules are
// compiled and evaluated by package rule, Lifelines by package lifeline over a
// snapshot that is made of the render and of assumed workers. What a render
// cannot tell (which pod holds a Lease, which node a pod is on) is a [Note] and
// never a [Finding].
//
// A finding points at the source manifest, has a severity, and a fingerprint
// that does not depend on its wording or its line, so that two revisions of a
// tree can be compared.
package check

// Package policy compiles a rule to what the API server itself enforces:
// ValidatingAdmissionPolicies and their bindings, which hold with no pod of
// Mainstay alive.
//
// It is pure. The exclusions that keep the recovery path open are in the
// objects that come out, never in a program that would have to run.
package policy

// Package policy compiles rules to what the API server has: a rule that it can
// evaluate to ValidatingAdmissionPolicies and their bindings, which hold with no
// pod of Mainstay alive, and the others to the entries of one
// ValidatingWebhookConfiguration.
//
// It is pure. The exclusions that keep the recovery path open are in the
// objects that come out, never in a program that would have to run.
package policy

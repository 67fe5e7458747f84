// Package webhook keeps the entries of Mainstay's ValidatingWebhookConfiguration
// as the rules say that need one, on the leader only.
//
// It fills an object that the package brings and never makes it: whoever deletes
// the object opens the gate, and an uninstall is not undone by a controller that
// outlives half of it.
package webhook

// Package certmanager has the component cert-manager tried with cert-manager's own
// controllers: make cert-manager.
package certmanager

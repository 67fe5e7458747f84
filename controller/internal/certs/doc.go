// Package certs keeps the certificate by which API servers know Mainstay's webhook.
//
// All replicas share one Secret with the CA, the certificate and their keys, and any of
// them may renew it. A certificate that API servers do not trust yet would have them
// refuse what the webhook guards, so that each replica serves a new one only once the
// webhook configuration has trusted its CA for long enough that every API server knows.
package certs

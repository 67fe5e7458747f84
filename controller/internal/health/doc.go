// Package health says whether a replica should be sent requests.
//
// A replica is ready when it can answer a review and its answer would be right: it
// answered one of its own over TLS a moment ago, the reviews of others did not fail for a
// reason of its own, API servers trust its certificate, and it hears the API server.
// Nothing here needs traffic to heal: a replica that nobody sends requests to asks
// itself. And nothing here takes out all replicas for what they have in common: that the
// API server is silent counts only where another replica hears it.
package health

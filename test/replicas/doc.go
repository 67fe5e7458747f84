// Package replicas runs Mainstay as it runs in a cluster: several processes of the real
// program, each of which stands for a pod, against a cluster of test/cluster.
//
// Their pods have no network, so a Front stands for the Service of the webhook: the API
// server calls it by a URL, and it passes connections on to the replicas that are ready.
// With Options.Pods they have addresses of their own, at which they ask each other.
// Everything is on the loopback interface, and ends with the cluster.
package replicas

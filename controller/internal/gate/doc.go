// Package gate opens all of Mainstay's gates in a cluster at once, and closes them
// again. It needs no running Mainstay: what keeps the gates open is an object in the
// cluster, which the controller obeys whenever it comes back.
package gate

// Package cluster runs a real Kubernetes control plane on this machine: etcd,
// kube-apiserver, kube-controller-manager and kube-scheduler as processes, without
// root and without containers, with RBAC on and certificates made at start. Workers
// are simulated by kwok, one process each that acts with its node's identity: it
// renews the node's lease and makes the pods that the scheduler placed there ready.
// To fail a worker is to kill its process, and what follows (NotReady, taints,
// evictions) is done by Kubernetes' own controllers.
//
// The demo, the integration tests and the benchmarks all use it through Start.
//
// Every process of a cluster is in one process group, and a watchdog outside that
// group ends the group and removes the cluster's folder as soon as the process that
// called Start is gone, however it went.
package cluster

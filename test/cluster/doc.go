// Package cluster runs a real Kubernetes control plane on this machine: etcd,
// kube-apiserver, kube-controller-manager and kube-scheduler as processes, without
// containers, with RBAC on and certificates made at start.
//
// Workers are of one of two kinds. Simulated ones, the default, need no root: kwok,
// one process each that acts with its node's identity, renews the node's lease and
// makes the pods that the scheduler placed there ready. Real ones, with Options.Real,
// are sets of namespaces (network, mount, process, UTS, IPC) with their own
// containerd, kubelet and kube-proxy, which run real pods; a bridge joins them and the
// API server, and CoreDNS runs on them. They take Linux with cgroup v1 and root, and
// several such clusters can run at once.
//
// To fail a worker is to kill its process, for a real one the first process of its
// namespaces, and what follows (NotReady, taints, evictions) is done by Kubernetes'
// own controllers.
//
// Every process of a cluster is in one process group, or ends with a process of it. A
// watchdog outside that group ends the group, removes what real workers changed in
// this machine, and removes the cluster's folder as soon as the process that called
// Start is gone, however it went.
package cluster

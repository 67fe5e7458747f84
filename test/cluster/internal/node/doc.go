// Package node is what runs a real worker: Launch starts its init process in
// namespaces of its own, and Init is that process. It mounts the worker's disk, sets
// up its network and supervises containerd, kubelet and kube-proxy.
//
// The end of the init process is a power-off: the kernel ends every process of the
// worker, pods included, and mounts and network go with the namespaces.
package node

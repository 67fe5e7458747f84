package faults

import "time"

const (
	// pauseOfCluster, restartOfAPIServer and pauseOfEtcd are how long those faults
	// last. The first is long enough that no component rides it out on an open
	// connection; starting again takes further seconds each.
	pauseOfCluster     = 10 * time.Second
	restartOfAPIServer = time.Second
	pauseOfEtcd        = 10 * time.Second
)

// All returns every fault, in the order of a report.
func All() []Fault {
	return []Fault{
		{
			Name:        "worker-dead",
			Description: "Every process on the worker ends at once, as in a power cut, and its network is gone.",
			NeedsWorker: true,
			how:         calls{on: failWorker, off: recoverWorker},
		},
		{
			Name:        "kubelet-dead",
			Description: "The kubelet is killed and stays down; pods, containerd and kube-proxy go on. The node turns NotReady.",
			NeedsWorker: true,
			how:         calls{on: holdKubelet, off: releaseKubelet},
		},
		{
			Name: "clusterip-broken",
			Description: "Packets from the worker's pods to any Service address are dropped, those of open connections too. " +
				"The kubelet has its own way to the API server, so the node stays Ready.",
			NeedsWorker: true,
			how:         netfilter{table: "mainstay_clusterip_broken", chains: clusterIPBroken},
		},
		{
			Name: "pod-network-cut",
			Description: "The worker's pods reach nothing outside themselves and nothing reaches them, " +
				"except that the node's own probes still do: node and pods stay Ready.",
			NeedsWorker: true,
			how:         netfilter{table: "mainstay_pod_network_cut", chains: podNetworkCut},
		},
		{
			Name: "apiserver-unreachable",
			Description: "Packets from the worker and its pods to the API server are dropped; everything else works, " +
				"also the API server's own connections to the kubelet and to pods. The node turns NotReady.",
			NeedsWorker: true,
			how:         netfilter{table: "mainstay_apiserver_unreachable", chains: apiServerUnreachable},
		},
		{
			Name:        "dns-broken",
			Description: "Packets from the worker's pods to port 53, UDP and TCP, are dropped. DNS servers on the worker go on serving others.",
			NeedsWorker: true,
			how:         netfilter{table: "mainstay_dns_broken", chains: dnsBroken},
		},
		{
			Name: "process-paused",
			Description: "The controller's processes on the worker get SIGSTOP: connections stay open, nothing answers. " +
				"A liveness probe ends them in the end; what is started then is not paused again.",
			NeedsWorker: true,
			NeedsApp:    true,
			how:         stopped{mounts: cgroupMounts},
		},
		{
			Name: "oom-killed",
			Description: "The memory limit of the controller's containers on the worker is lowered below what they use, " +
				"and again each time one comes back: the kernel kills them over and over. Elsewhere the controller is well.",
			NeedsWorker: true,
			NeedsApp:    true,
			how:         newOOMKills(cgroupMounts),
		},
		{
			Name:        "worker-drained",
			Description: "kubectl drain: the worker is cordoned and its pods are evicted, disruption budgets respected. Heal uncordons it.",
			NeedsWorker: true,
			how:         calls{on: drain, off: uncordon},
		},
		{
			Name: "worker-slow",
			Description: "All that runs on the worker shares 5 % of one core, and each packet that leaves it is " +
				"500 ms late or, one in twenty, lost.",
			NeedsWorker: true,
			// The network first: what sets it up would itself be slow in the other order.
			how: together{newSlowLink(500*time.Millisecond, 0.05), cpuQuota{mounts: cgroupMounts, percent: 5}},
		},
		{
			Name:        "cluster-restarted",
			Description: "Every process of the cluster, control plane and workers, ends at once and is started again after 10 s on the state it had.",
			Lasts:       pauseOfCluster,
			how:         calls{on: powerOff, off: powerOn},
		},
		{
			Name:        "apiserver-restarted",
			Description: "The API server is ended gracefully and started again after 1 s.",
			Lasts:       restartOfAPIServer,
			how:         calls{on: stopAPIServer, off: startAPIServer},
		},
		{
			Name:        "etcd-paused",
			Description: "etcd gets SIGSTOP for 10 s: the API server's requests hang.",
			Lasts:       pauseOfEtcd,
			how:         calls{on: pauseEtcd, off: resumeEtcd},
		},
	}
}

package cluster

import (
	"path/filepath"
	"strconv"

	"github.com/mainstay-dev/mainstay/test/cluster/tools"
)

func (p *plane) etcdArgs(dir string) []string {
	client, peer := "http://"+hostPort(p.etcdPort), "http://"+hostPort(p.etcdPeerPort)
	return []string{
		"--name=etcd",
		"--data-dir=" + filepath.Join(dir, "etcd"),
		"--listen-client-urls=" + client,
		"--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=etcd=" + peer,
		// The data ends with the cluster, so a power cut loses nothing of worth.
		"--unsafe-no-fsync",
		"--log-level=warn",
	}
}

func (p *plane) apiServerArgs(c *Cluster) []string {
	file := p.file
	args := []string{
		"--etcd-servers=http://" + hostPort(p.etcdPort),
		"--bind-address=" + p.apiHost,
		"--advertise-address=" + p.apiHost,
		"--secure-port=" + strconv.Itoa(p.apiPort),
		"--tls-cert-file=" + file("serving.crt"),
		"--tls-private-key-file=" + file("serving.key"),
		"--client-ca-file=" + file("ca.crt"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + file("service-accounts.key"),
		"--service-account-signing-key-file=" + file("service-accounts.key"),
		"--service-cluster-ip-range=" + serviceRange,
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--profiling=false",
		// Without it, watches keep a server that is to end from doing so for a minute.
		"--shutdown-watch-termination-grace-period=2s",
	}
	if c.real != nil {
		args = append(args, p.realArgs()...)
	} else {
		args = append(args,
			// A loopback address cannot be an endpoint of the kubernetes Service.
			"--endpoint-reconciler-type=none",
			// As on OpenShift: it asks for more rights than Kubernetes does by default.
			"--enable-admission-plugins=OwnerReferencesPermissionEnforcement",
		)
	}
	if c.opts.Audit {
		args = append(args,
			"--audit-policy-file="+filepath.Join(c.dir, "audit-policy.yaml"),
			"--audit-log-path="+c.auditLog(),
			"--audit-log-mode=blocking",
			// One file, in MiB: a log that is cut in parts would lose events to its reader.
			"--audit-log-maxsize=100000",
		)
	}
	return args
}

func (p *plane) controllerArgs(dir string, opts Options) []string {
	file := p.file
	return []string{
		"--kubeconfig=" + filepath.Join(dir, tools.ControllerManager+".kubeconfig"),
		"--bind-address=" + loopback,
		"--secure-port=" + strconv.Itoa(p.controllerPort),
		"--tls-cert-file=" + file("serving.crt"),
		"--tls-private-key-file=" + file("serving.key"),
		"--leader-elect=false",
		"--use-service-account-credentials=true",
		"--root-ca-file=" + file("ca.crt"),
		"--service-account-private-key-file=" + file("service-accounts.key"),
		"--cluster-signing-cert-file=" + file("ca.crt"),
		"--cluster-signing-key-file=" + file("ca.key"),
		"--allocate-node-cidrs=false",
		"--service-cluster-ip-range=" + serviceRange,
		"--node-monitor-period=" + opts.NodeMonitorPeriod.String(),
		"--node-monitor-grace-period=" + opts.NodeMonitorGracePeriod.String(),
		"--profiling=false",
	}
}

func (p *plane) schedulerArgs(dir string) []string {
	return []string{
		"--kubeconfig=" + filepath.Join(dir, tools.Scheduler+".kubeconfig"),
		"--bind-address=" + loopback,
		"--secure-port=" + strconv.Itoa(p.schedulerPort),
		"--tls-cert-file=" + filepath.Join(p.pki, "serving.crt"),
		"--tls-private-key-file=" + filepath.Join(p.pki, "serving.key"),
		"--leader-elect=false",
		"--profiling=false",
	}
}

package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/test/cluster/internal/host"
	"github.com/mainstay-dev/mainstay/test/cluster/internal/node"
	"github.com/mainstay-dev/mainstay/test/cluster/tools"
)

// The components of a real worker, which HoldComponent takes.
const (
	containerd = "containerd"
	kubelet    = tools.Kubelet
	kubeProxy  = tools.KubeProxy
)

const containerdSocket = "/run/containerd/containerd.sock"

// containerdConfig takes the image of a pod's sandbox, and the folders of the CNI
// plugins and of their configuration. Without CAP_SYS_RESOURCE, which a virtual
// machine may not have, a lower OOM score than one's own cannot be set.
const containerdConfig = `version = 2
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
`

// cniConfig takes the range of the worker's pods. Leases of addresses are on /run:
// no pod outlives a power cut.
const cniConfig = `{
  "cniVersion": "0.4.0",
  "name": "pods",
  "plugins": [
    {
      "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
      "ipam": {
        "type": "host-local", "dataDir": "/run/cni",
        "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`

// resolvConf is that of pods that do not use the cluster's DNS. The address is one
// for documentation: there is no other DNS.
const resolvConf = "nameserver 192.0.2.53\n"

// workerDir is the folder of a real worker.
func (c *Cluster) workerDir(w *worker) string { return filepath.Join(c.dir, w.name) }

// configureWorker writes everything that a real worker reads.
func (c *Cluster) configureWorker(w *worker) error {
	dir, instance := c.workerDir(w), c.real.instance
	etc := func(name string) string { return filepath.Join(dir, "etc", name) }
	for _, d := range []string{etc("cni"), node.Disk(dir, "lib/kubelet"), node.Disk(dir, "lib/containerd"), node.Disk(dir, "log/pods"), node.Disk(dir, "log/containers")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return fmt.Errorf("making the folders of %s: %w", w.name, err)
		}
	}
	identity, err := c.plane.config("system:node:"+w.name, "system:nodes")
	if err != nil {
		return err
	}
	if err := WriteKubeconfig(etc("kubelet.kubeconfig"), identity); err != nil {
		return err
	}
	serving, err := c.plane.ca.node(w.name, instance.WorkerIP(w.number))
	if err != nil {
		return err
	}
	kubeletConfig, err := yaml.Marshal(c.kubeletConfig(w, etc))
	if err != nil {
		return fmt.Errorf("writing the kubelet's configuration: %w", err)
	}
	proxyConfig, err := yaml.Marshal(c.proxyConfig(w))
	if err != nil {
		return fmt.Errorf("writing kube-proxy's configuration: %w", err)
	}
	for name, text := range map[string][]byte{
		"containerd.toml":      fmt.Appendf(nil, containerdConfig, c.real.pause, host.PluginDir, etc("cni")),
		"cni/10-pods.conflist": fmt.Appendf(nil, cniConfig, instance.PodCIDR(w.number)),
		"kubelet.yaml":         kubeletConfig,
		"kube-proxy.yaml":      proxyConfig,
		"resolv.conf":          []byte(resolvConf),
		"serving.crt":          serving.cert,
		"serving.key":          serving.key,
	} {
		if err := os.WriteFile(etc(name), text, 0o600); err != nil {
			return fmt.Errorf("writing the configuration of %s: %w", w.name, err)
		}
	}
	return c.nodeConfig(w, etc).Write()
}

func (c *Cluster) nodeConfig(w *worker, etc func(string) string) node.Config {
	kubeletCommand := []string{
		c.real.paths[kubelet],
		"--config=" + etc("kubelet.yaml"),
		"--kubeconfig=" + etc("kubelet.kubeconfig"),
		"--hostname-override=" + w.name,
		"--node-ip=" + c.real.instance.WorkerIP(w.number),
	}
	if zone := c.opts.zone(w.number); zone != "" {
		kubeletCommand = append(kubeletCommand, "--node-labels="+corev1.LabelTopologyZone+"="+zone)
	}
	return node.Config{
		Name: w.name, Number: w.number, Dir: c.workerDir(w),
		Instance: c.real.instance.Number, Cluster: c.dir, Workers: len(c.workers.list),
		Components: []node.Component{
			{Name: containerd, Command: []string{host.Find(containerd), "--config", etc("containerd.toml")}, Socket: containerdSocket},
			{Name: kubelet, Command: kubeletCommand},
			{Name: kubeProxy, Command: []string{c.real.paths[kubeProxy], "--config=" + etc("kube-proxy.yaml"), "--hostname-override=" + w.name}},
		},
	}
}

// object is a configuration without its Go type, which is in a module that the
// project does not need otherwise.
type object = map[string]any

func (c *Cluster) kubeletConfig(w *worker, etc func(string) string) object {
	config := object{
		"apiVersion":         "kubelet.config.k8s.io/v1beta1",
		"kind":               "KubeletConfiguration",
		"address":            c.real.instance.WorkerIP(w.number),
		"healthzBindAddress": loopback,
		"authentication": object{
			"anonymous": object{"enabled": false},
			"webhook":   object{"enabled": true},
			"x509":      object{"clientCAFile": c.plane.file("ca.crt")},
		},
		"authorization":            object{"mode": "Webhook"},
		"tlsCertFile":              etc("serving.crt"),
		"tlsPrivateKeyFile":        etc("serving.key"),
		"containerRuntimeEndpoint": "unix://" + containerdSocket,
		"cgroupDriver":             "cgroupfs",
		"cgroupRoot":               c.real.instance.WorkerCgroup(w.name),
		"cgroupsPerQOS":            true,
		// With a quota of its own on every container with a CPU limit, cgroup v1
		// would refuse a smaller one on the worker as a whole.
		"cpuCFSQuota":              false,
		"failCgroupV1":             false,
		"failSwapOn":               false,
		"oomScoreAdj":              0,
		"clusterDNS":               []string{dnsServiceIP},
		"clusterDomain":            "cluster.local",
		"resolvConf":               etc("resolv.conf"),
		"volumePluginDir":          "/var/lib/kubelet/volume-plugins",
		"maxPods":                  110,
		"nodeLeaseDurationSeconds": int(c.opts.leaseDuration() / time.Second),
		// The disk and the memory are the machine's: their shortage is not a worker's.
		"evictionHard": object{
			"memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%",
			"imagefs.available": "0%", "imagefs.inodesFree": "0%",
		},
		// An image that was collected could not be pulled again.
		"imageGCHighThresholdPercent": 100,
		"imageGCLowThresholdPercent":  99,
	}
	if pods, ok := c.opts.Allocatable[corev1.ResourcePods]; ok {
		config["maxPods"] = pods.Value()
	}
	if reserved := reservations(c.opts.Allocatable, c.real.capacity); len(reserved) > 0 {
		config["systemReserved"] = reserved
	}
	return config
}

// reservations is what the kubelet keeps from pods so that they get what is wanted
// of the machine's capacity. What exceeds that cannot be had.
func reservations(wanted, capacity corev1.ResourceList) map[string]string {
	reserved := map[string]string{}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		want, ok := wanted[name]
		if !ok {
			continue
		}
		rest := capacity[name]
		rest.Sub(want)
		if rest.Sign() > 0 {
			reserved[string(name)] = rest.String()
		}
	}
	return reserved
}

// newCapacity is what a machine has.
func newCapacity(cpus int, memory int64) corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse(strconv.Itoa(cpus)),
		corev1.ResourceMemory: *resource.NewQuantity(memory, resource.BinarySI),
	}
}

func (c *Cluster) proxyConfig(w *worker) object {
	address := c.real.instance.WorkerIP(w.number)
	return object{
		"apiVersion":         "kubeproxy.config.k8s.io/v1alpha1",
		"kind":               "KubeProxyConfiguration",
		"mode":               "nftables",
		"clusterCIDR":        c.real.instance.ClusterCIDR(),
		"clientConnection":   object{"kubeconfig": c.real.proxy},
		"healthzBindAddress": address + ":10256",
		"metricsBindAddress": loopback + ":10249",
		"oomScoreAdj":        0,
		// The connection table's limits are the machine's, not a network namespace's.
		"conntrack": object{"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
	}
}

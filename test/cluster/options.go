package cluster

import (
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Defaults of Kubernetes 1.36 itself.
const (
	defaultGracePeriod   = 50 * time.Second
	defaultMonitorPeriod = 5 * time.Second
)

// minLease is the shortest node lease: kwok renews after a quarter of it, and the
// unit of a lease's duration is the second.
const minLease = 4 * time.Second

// Options are the wishes for one cluster. The zero value is a control plane of its
// own without workers.
type Options struct {
	// Workers is the number of workers, named worker-1 and on: at most 200 simulated
	// or 20 real ones.
	Workers int
	// Real gives the cluster real workers: each is a set of namespaces of this machine
	// with its own containerd, kubelet and kube-proxy, and CoreDNS runs on them as
	// pods. It takes Linux with cgroup v1, root, and the programs that
	// `make e2e-packages` installs; without them Start says what is missing.
	Real bool
	// Images are docker archives that every real worker has before it is Ready. More
	// can be added by LoadImages.
	Images []string
	// Zones are the values of the topology.kubernetes.io/zone label, given to the
	// workers in turn. Without any the nodes have no such label.
	Zones []string
	// Allocatable is what each worker offers to pods. The default of simulated workers
	// is 4 CPUs, 16 GiB and 110 pods. A real worker offers the whole machine and 110
	// pods by default, and never more than the machine has.
	Allocatable corev1.ResourceList
	// Audit makes the API server log every request at the Metadata level, for
	// AuditEvents.
	Audit bool
	// NodeMonitorGracePeriod is how long a worker may be silent before its Node is
	// NotReady. The default is Kubernetes' own, 50 s; at least 5 s.
	NodeMonitorGracePeriod time.Duration
	// NodeMonitorPeriod is how often that is looked at. The default is Kubernetes'
	// own, 5 s.
	NodeMonitorPeriod time.Duration
	// KeepRunning lets the cluster outlive the process that started it. Stop or
	// StopDir ends it.
	KeepRunning bool
	// ExistingKubeconfig is the path of a kubeconfig. When set, no control plane is
	// started: the workers are added to that cluster, which must have no nodes but
	// simulated ones and no flux-system namespace. USE_EXISTING_CLUSTER=true with
	// KUBECONFIG in the environment does the same.
	ExistingKubeconfig string
	// Out gets lines about what takes long. The default is to say nothing.
	Out io.Writer
}

// withDefaults fills in what is not set, or says what cannot be.
func (o Options) withDefaults() (Options, error) {
	if o.Out == nil {
		o.Out = io.Discard
	}
	if o.NodeMonitorGracePeriod == 0 {
		o.NodeMonitorGracePeriod = defaultGracePeriod
	}
	if o.NodeMonitorPeriod == 0 {
		o.NodeMonitorPeriod = defaultMonitorPeriod
	}
	if o.Allocatable == nil && !o.Real {
		o.Allocatable = corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("4"),
			corev1.ResourceMemory: resource.MustParse("16Gi"),
			corev1.ResourcePods:   resource.MustParse("110"),
		}
	}
	var errs []error
	if most := o.maxWorkers(); o.Workers < 0 || o.Workers > most {
		errs = append(errs, fmt.Errorf("workers: %d is not between 0 and %d", o.Workers, most))
	}
	if len(o.Images) > 0 && !o.Real {
		errs = append(errs, errors.New("images: simulated workers run none"))
	}
	if o.NodeMonitorGracePeriod < minLease+time.Second {
		errs = append(errs, fmt.Errorf("node monitor grace period: %s is below %s", o.NodeMonitorGracePeriod, minLease+time.Second))
	}
	if o.NodeMonitorPeriod < 0 {
		errs = append(errs, fmt.Errorf("node monitor period: %s is negative", o.NodeMonitorPeriod))
	}
	if err := errors.Join(errs...); err != nil {
		return o, fmt.Errorf("cluster options: %w", err)
	}
	return o, nil
}

func (o Options) maxWorkers() int {
	if o.Real {
		return maxRealWorkers
	}
	return maxWorkers
}

// zone is that of a worker, "" without zones.
func (o Options) zone(worker int) string {
	if len(o.Zones) == 0 {
		return ""
	}
	return o.Zones[(worker-1)%len(o.Zones)]
}

// leaseDuration keeps the ratio of Kubernetes' own defaults, 40 s of lease to 50 s
// of grace, so that a worker renews five times within the grace period.
func (o Options) leaseDuration() time.Duration {
	return max(minLease, (o.NodeMonitorGracePeriod * 4 / 5).Truncate(time.Second))
}

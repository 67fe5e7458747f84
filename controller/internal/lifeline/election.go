package lifeline

import (
	"cmp"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// leaseSuffix is how controller-runtime's users, Flux among them, name the
// Lease of a workload.
const leaseSuffix = "-leader-election"

// abandonedAfter is how long after its expiry a Lease still counts as an
// election under way. A standby with Kubernetes' slowest usual settings (35 s,
// retry 5 s) takes over within 57 s; a Lease that nobody took for minutes
// belongs to a workload that no longer elects.
const abandonedAfter = 5 * time.Minute

// election is what Leases say about one member.
type election struct {
	// leader holds the member's preferred Lease now; nil when nobody does.
	leader *v1alpha1.Leader
	// holders are all pods of the member that a Lease which is not abandoned may mean.
	holders map[string]bool
	// waiting names a Lease of the member that is not abandoned and not held by
	// a pod that is known: a new leader is being elected, or it may be any pod.
	waiting string
	// seen and fresh count the member's Leases that are not abandoned, and
	// those of them that are held.
	seen, fresh int
}

// lease is the Lease of an election, with the pods of the Lifeline's namespace that its
// identity may mean: one, or those of a node that are on its network.
type lease struct {
	*coordinationv1.Lease
	holders []*corev1.Pod
}

// electionLeases leaves out the nodes' heartbeats, sorted by namespace and name.
func electionLeases(s Snapshot) []lease {
	known := newDirectory(s)
	var out []lease
	for _, l := range s.Leases {
		if l.Namespace != corev1.NamespaceNodeLease {
			out = append(out, lease{Lease: l, holders: known.meant(identity(l))})
		}
	}
	slices.SortFunc(out, func(a, b lease) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// directory finds the pods of a namespace by what they call themselves in a Lease: a pod's
// name and, on the host's network, that of its node.
type directory map[string][]*corev1.Pod

func newDirectory(s Snapshot) directory {
	d := directory{}
	for _, pod := range s.Pods {
		if pod.Namespace != s.Lifeline.Namespace {
			continue
		}
		d[pod.Name] = append(d[pod.Name], pod)
		if node := pod.Spec.NodeName; pod.Spec.HostNetwork && node != "" && node != pod.Name {
			d[node] = append(d[node], pod)
		}
	}
	return d
}

// meant are the pods that an identity may mean: it is their name, or goes on after it with
// "_" (client-go's usual way) or "-" (cert-manager, Cilium). The longest name counts, so that
// web-1 is not taken for web-1-0.
func (d directory) meant(identity string) []*corev1.Pod {
	for name := identity; ; {
		if pods := d[name]; len(pods) > 0 {
			return pods
		}
		cut := strings.LastIndexAny(name, "_-")
		if cut < 0 {
			return nil
		}
		name = name[:cut]
	}
}

// findElection reads the Leases that belong to a member: those whose identity may mean one
// of its pods, and the one that is named for it. A Lease of the member's own namespace comes
// before one of another namespace, where a pod of the same name may be meant; then the one
// that is named for the member, then by name.
//
// Who is meant by the name of a node cannot be told of several pods on its network, and not
// in kube-system, where the controllers of the node itself go by it: no leader is named then,
// and all who may be meant are holders. One elsewhere that is named for the member and held
// by nobody that is known counts where nothing else tells who leads: any pod may be meant.
func findElection(m *member, leases []lease, now time.Time) election {
	e := election{holders: map[string]bool{}}
	best, elsewhere := -1, ""
	for _, l := range leases {
		ours := l.among(m.pods)
		local, named := l.Namespace == m.meta.Namespace, l.Name == m.name()+leaseSuffix
		fresh := held(l.Lease, now)
		switch {
		case abandoned(l.Lease, now), len(ours) == 0 && !named:
			continue
		case len(ours) == 0 && !local:
			if fresh && len(l.holders) == 0 {
				elsewhere = l.Name
			}
			continue
		}
		e.seen++
		if fresh {
			e.fresh++
		}
		for _, pod := range ours {
			e.holders[pod.Name] = true
		}
		if len(ours) == 0 || !fresh {
			e.waiting = cmp.Or(e.waiting, l.Name)
			continue
		}
		rank := 0
		if local {
			rank++
		}
		if named {
			rank++
		}
		if rank > best && (local && len(l.holders) == 1 || strings.HasPrefix(identity(l.Lease), ours[0].Name)) {
			best = rank
			e.leader = &v1alpha1.Leader{Pod: ours[0].Name, Node: ours[0].Spec.NodeName, Lease: l.Name}
		}
	}
	if len(e.holders) == 0 {
		e.waiting = cmp.Or(e.waiting, elsewhere)
	}
	return e
}

// among are the pods of a list that may hold the Lease.
func (l lease) among(pods []*corev1.Pod) []*corev1.Pod {
	var out []*corev1.Pod
	for _, pod := range l.holders {
		if slices.Contains(pods, pod) {
			out = append(out, pod)
		}
	}
	return out
}

// identity of a Lease's holder; empty when it is free.
func identity(l *coordinationv1.Lease) string {
	return ptr.Deref(l.Spec.HolderIdentity, "")
}

// held says whether a Lease was renewed within its own duration.
func held(l *coordinationv1.Lease, now time.Time) bool {
	return identity(l) != "" && !expiry(l).Before(now)
}

// abandoned says whether a Lease ended so long ago that no election can be
// under way. One that was never renewed is abandoned.
func abandoned(l *coordinationv1.Lease, now time.Time) bool {
	return expiry(l).Add(abandonedAfter).Before(now)
}

// expiry is when a Lease ends unless it is renewed; zero when it never was.
func expiry(l *coordinationv1.Lease) time.Time {
	if l.Spec.RenewTime == nil || l.Spec.LeaseDurationSeconds == nil {
		return time.Time{}
	}
	return l.Spec.RenewTime.Add(time.Duration(*l.Spec.LeaseDurationSeconds) * time.Second)
}

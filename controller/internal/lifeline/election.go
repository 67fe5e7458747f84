package lifeline

import (
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

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
	// holders are all pods that a Lease which is not abandoned names.
	holders map[string]bool
	// waiting names a Lease of the member that is not held and not abandoned
	// yet: a new leader is being elected, and it may be any pod.
	waiting string
	// seen and fresh count the member's Leases that are not abandoned, and
	// those of them that are held.
	seen, fresh int
}

// findElection reads the Leases that belong to a member: those whose holder is
// one of its pods (the identity is the pod's name, or it followed by "_" and
// something unique), and the one that is named for it. A Lease of the member's
// own namespace comes before one of another namespace, where a pod of the same
// name may be meant; then the one that is named for the member, then by name.
func findElection(m *member, leases []*coordinationv1.Lease, now time.Time) election {
	nodeOf := make(map[string]string, len(m.pods))
	for _, pod := range m.pods {
		nodeOf[pod.Name] = pod.Spec.NodeName
	}
	e := election{holders: map[string]bool{}}
	best := -1
	for _, l := range leases {
		pod := holder(l)
		node, ours := nodeOf[pod]
		local := l.Namespace == m.meta.Namespace
		named := local && l.Name == m.name()+leaseSuffix
		if !ours && !named || abandoned(l, now) {
			continue
		}
		e.seen++
		if ours {
			e.holders[pod] = true
		}
		if !ours || !held(l, now) {
			if e.waiting == "" {
				e.waiting = l.Name
			}
			continue
		}
		e.fresh++
		rank := 0
		if local {
			rank++
		}
		if named {
			rank++
		}
		if rank > best {
			best = rank
			e.leader = &v1alpha1.Leader{Pod: pod, Node: node, Lease: l.Name}
		}
	}
	return e
}

// holder is the pod that a Lease's identity names; empty when it is free.
func holder(l *coordinationv1.Lease) string {
	if l.Spec.HolderIdentity == nil {
		return ""
	}
	pod, _, _ := strings.Cut(*l.Spec.HolderIdentity, "_")
	return pod
}

// held says whether a Lease was renewed within its own duration.
func held(l *coordinationv1.Lease, now time.Time) bool {
	return holder(l) != "" && !expiry(l).Before(now)
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

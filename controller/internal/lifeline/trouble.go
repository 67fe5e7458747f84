package lifeline

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// trouble says why the cluster as a whole is in no state to move pods in;
// empty when it is. A return of the API server looks like every leader and
// every node dying at once.
func (p *picture) trouble(s Snapshot) string {
	notReady := 0
	for _, n := range s.Nodes {
		if !nodeReady(n) {
			notReady++
		}
	}
	if notReady*2 > len(s.Nodes) {
		return fmt.Sprintf("%d of %d nodes are not Ready", notReady, len(s.Nodes))
	}

	beats, overdue := 0, 0
	for _, l := range s.Leases {
		if l.Namespace == corev1.NamespaceNodeLease {
			beats++
			if expiry(l).Before(s.Now) {
				overdue++
			}
		}
	}
	if overdue*2 > beats {
		return fmt.Sprintf("the heartbeats of %d of %d nodes are overdue", overdue, beats)
	}

	elections, fresh := 0, 0
	for _, m := range p.members {
		elections += m.election.seen
		fresh += m.election.fresh
	}
	if elections > 1 && fresh == 0 {
		return fmt.Sprintf("none of the %d Leases of the members is being renewed", elections)
	}
	return ""
}

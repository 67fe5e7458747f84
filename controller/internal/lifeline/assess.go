package lifeline

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// settleTime is how long a replacement may take to become ready before the move
// counts as futile.
const settleTime = 10 * time.Minute

// Assess says whether a move that was made has helped. It is settled once the
// pod is gone or going and the member has all of its replicas ready, or when
// that has not happened within ten minutes.
//
// It helped when fewer domains' loss stops the member than before. The picture
// before is taken from what is left of it: the replicas that are older than the
// claim, together with one on the node that the pod was moved from. Where that
// cannot be told any more, because the node is gone or every replica is newer,
// the move helped only if no domain's loss stops the member.
func Assess(iv *v1alpha1.Intervention, s Snapshot) Assessment {
	target, around := iv.Spec.Target, ""
	futile := func(format string, args ...any) Assessment {
		return Assessment{Settled: true, Verdict: v1alpha1.VerdictFutile, Message: fmt.Sprintf(format, args...), Evidence: around}
	}
	p, err := newPicture(s)
	if err != nil {
		return futile("cannot be told: %s", err)
	}
	m := p.find(target.Workload)
	if m == nil {
		return futile("%s is no member any more", target.Workload)
	}
	if around, err = p.around(m); err != nil {
		return futile("cannot be told: %s", err)
	}
	if m.desired == 0 {
		return futile("%s is scaled to zero", target.Workload)
	}

	if why := awaited(m, target); why != "" {
		left := endOf(iv).Add(settleTime).Sub(s.Now)
		if left > 0 {
			return Assessment{Message: why, RetryAfter: left}
		}
		return futile("%s after %s", why, settleTime)
	}

	after := p.common(m.nodes())
	if len(after) == 0 {
		return Assessment{
			Settled: true,
			Verdict: v1alpha1.VerdictImproved,
			Message: fmt.Sprintf("%s outlives the loss of any one domain", m.name()),
		}
	}
	before, known := p.before(m, iv, s.Nodes)
	if known && len(after) < len(before) {
		return Assessment{
			Settled: true,
			Verdict: v1alpha1.VerdictImproved,
			Message: fmt.Sprintf("%s is stopped by the loss of %s still, and no more by that of %d others",
				m.name(), describe(after), len(before)-len(after)),
		}
	}
	return futile("%s is stopped by the loss of %s as before", m.name(), describe(after))
}

// find a member by Kind/name; nil when there is none.
func (p *picture) find(workload string) *member {
	for _, m := range p.members {
		if m.workload() == workload {
			return m
		}
	}
	return nil
}

// awaited says what a move still waits for; empty when it is settled.
func awaited(m *member, target v1alpha1.TargetReference) string {
	for _, pod := range m.pods {
		if pod.UID == target.UID && pod.DeletionTimestamp == nil {
			return fmt.Sprintf("pod %s is still there", pod.Name)
		}
	}
	if len(m.ready) < int(m.desired) {
		return fmt.Sprintf("%d of %d replicas of %s are ready", len(m.ready), m.desired, m.name())
	}
	return ""
}

// before are the domains whose loss stopped the member before the move.
func (p *picture) before(m *member, iv *v1alpha1.Intervention, all []*corev1.Node) ([]domain, bool) {
	var nodes []*corev1.Node
	for _, r := range m.ready {
		if r.pod.CreationTimestamp.Before(&iv.CreationTimestamp) {
			nodes = append(nodes, r.node)
		}
	}
	if len(nodes) == 0 {
		return nil, false
	}
	for _, n := range all {
		if n.Name == iv.Spec.Target.Node {
			return p.common(append(nodes, n)), true
		}
	}
	return nil, false
}

package lifeline

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

const (
	// pollPending is how often a move under way is looked at again: its
	// assessment has a time limit.
	pollPending = 10 * time.Second

	// pollTrouble is how often a decision is made again that hangs on time
	// passing: Leases expire without any object changing.
	pollTrouble = 10 * time.Second
)

// Plan decides the one next move that makes a Lifeline survive more, from the
// snapshot that the verdict was made from and from all Interventions that are
// known (those of other owners are ignored).
//
// A move evicts one replica of a Standby or ActiveActive member whose ready
// replicas, two or more, are all in one domain, where a node in another domain
// fits such a pod. It is planned only when its replacement on some node would
// leave fewer domains whose loss stops the member, and none that does not stop
// it now: so moves for several topology keys cannot chase each other. Standby
// members come first, then by name.
//
// Never evicted are a pod that a Lease names as its holder, a pod with a claim,
// any pod of a member that has a replica missing, a rollout under way or an
// election under way, and a pod whose PodDisruptionBudget does not allow it.
// Where no Lease is known the youngest pod goes. Nothing is moved while most
// nodes are not Ready, most nodes' heartbeats are overdue or no Lease of any
// member is being renewed: then it is the API server or the network that is
// sick, and moving pods helps nobody.
//
// A move on the same evidence as one that turned out futile is not made again
// while its surroundings are those that it was judged in, and a failed one is
// tried again after a wait that doubles. In a dry run the move of each member is
// returned once for its evidence.
func Plan(s Snapshot, v Verdict, history []*v1alpha1.Intervention) Decision {
	heal := s.Lifeline.Spec.Heal
	if heal.Mode == v1alpha1.HealOff {
		return Decision{Reason: v1alpha1.ReasonHealingOff, Message: "spec.heal.mode is Off"}
	}
	past := recordOf(s.Lifeline, history)
	if iv := past.pending(); iv != nil {
		return Decision{
			Reason: v1alpha1.ReasonRebalancing,
			Message: fmt.Sprintf("pod %s of %s is being moved away from %s (Intervention %s)",
				iv.Spec.Target.Name, iv.Spec.Target.Workload, iv.Spec.Target.Node, iv.Name),
			RetryAfter: pollPending,
		}
	}
	if v.Survives {
		return Decision{Reason: v1alpha1.ReasonIdle, Message: "there is nothing to heal"}
	}
	p, err := newPicture(s)
	if err != nil || len(p.members) == 0 {
		return Decision{Reason: v1alpha1.ReasonIdle, Message: "there is nothing to heal: " + v.Message}
	}
	if why := p.trouble(s); why != "" {
		return Decision{
			Reason:     v1alpha1.ReasonBlocked,
			Message:    why + ": nothing is moved until that is over",
			RetryAfter: pollTrouble,
		}
	}

	best := Decision{Reason: v1alpha1.ReasonIdle, Message: "no move would help: no Standby or ActiveActive member is stopped by the loss of a domain"}
	first := true
	for _, m := range p.inOrder() {
		d := p.consider(m, s, past)
		if d.Move != nil {
			if d = gate(d, heal, past, s.Now); !recorded(d) {
				return d
			}
		}
		if first || weight(d.Reason) > weight(best.Reason) {
			best = d
		}
		first = false
	}
	return best
}

// gate applies what holds for any move: the budget, and the dry run.
func gate(d Decision, heal v1alpha1.Heal, past record, now time.Time) Decision {
	dryRun := heal.Mode != v1alpha1.HealAuto
	if dryRun {
		if iv := past.about(d.Move.Workload, d.Move.Evidence).refused(); iv != nil {
			return Decision{
				DryRun:  true,
				Reason:  v1alpha1.ReasonDryRun,
				Message: fmt.Sprintf("spec.heal.mode is DryRun: Intervention %s has the move that would be made", iv.Name),
			}
		}
	}
	if spent, frees := past.budget(heal, dryRun, now); !frees.IsZero() {
		return Decision{
			DryRun: dryRun,
			Reason: v1alpha1.ReasonBudgetSpent,
			Message: fmt.Sprintf("%d moves in the last hour use up spec.heal.maxEvictionsPerHour: the next can be made at %s",
				spent, frees.UTC().Format(time.RFC3339)),
			RetryAfter: max(frees.Sub(now), time.Second),
		}
	}
	if dryRun {
		d.DryRun = true
		d.Reason = v1alpha1.ReasonDryRun
		d.Message = "spec.heal.mode is DryRun: " + d.Message
	}
	return d
}

// recorded says whether a decision is that a dry run has its record already: then
// the next member's move is to be recorded.
func recorded(d Decision) bool {
	return d.Move == nil && d.Reason == v1alpha1.ReasonDryRun
}

// weight orders reasons for doing nothing by how much they tell.
func weight(reason string) int {
	return slices.Index([]string{
		v1alpha1.ReasonIdle,
		v1alpha1.ReasonNoRoom,
		v1alpha1.ReasonFutile,
		v1alpha1.ReasonBlocked,
		v1alpha1.ReasonDryRun,
	}, reason)
}

// inOrder are the members that are stopped by the loss of a domain and are not
// Singletons, in the order that they are healed in.
func (p *picture) inOrder() []*member {
	var out []*member
	for _, m := range p.members {
		if m.profile != v1alpha1.ProfileSingleton && m.meta.DeletionTimestamp == nil && len(p.common(m.nodes())) > 0 {
			out = append(out, m)
		}
	}
	rank := func(m *member) int {
		return slices.Index([]v1alpha1.Profile{v1alpha1.ProfileStandby, v1alpha1.ProfileActiveActive}, m.profile)
	}
	// Of one name, the Deployment comes first as among the members.
	slices.SortStableFunc(out, func(a, b *member) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.name(), b.name()))
	})
	return out
}

// common are the domains that hold all of the nodes: their loss takes all of
// them. None for no nodes.
func (p *picture) common(nodes []*corev1.Node) []domain {
	if len(nodes) == 0 {
		return nil
	}
	out := p.domainsOf(nodes[0])
	for _, n := range nodes[1:] {
		out = slices.DeleteFunc(out, func(d domain) bool { return !d.holds(n) })
	}
	return out
}

// relocation is one possible move: a replica, the node that would do, and how many
// domains' loss stops the member then.
type relocation struct {
	replica replica
	to      *corev1.Node
	stops   int
}

// relocations are for each ready replica the best node that its replacement
// could land on, best first: fewest domains left whose loss stops the member,
// then the youngest pod, then by name. Replicas that no node improves are left
// out.
func (p *picture) relocations(m *member) []relocation {
	before := p.common(m.nodes())
	var out []relocation
	for i, r := range m.ready {
		best := relocation{replica: r, stops: len(before)}
		for _, n := range p.placeable {
			after := m.nodes()
			after[i] = n
			// A domain that the move would make the only one of its key is
			// no improvement, even if it takes the place of two others: the
			// next move would be made back again.
			left := p.common(after)
			if len(left) < best.stops && subset(left, before) && fits(m, n) {
				best.to, best.stops = n, len(left)
			}
		}
		if best.to != nil {
			out = append(out, best)
		}
	}
	slices.SortStableFunc(out, func(a, b relocation) int {
		return cmp.Or(
			cmp.Compare(a.stops, b.stops),
			b.replica.pod.CreationTimestamp.Compare(a.replica.pod.CreationTimestamp.Time),
			cmp.Compare(a.replica.pod.Name, b.replica.pod.Name))
	})
	return out
}

func subset(a, b []domain) bool {
	return !slices.ContainsFunc(a, func(d domain) bool { return !slices.Contains(b, d) })
}

// consider decides about one member: a move, or why there is none.
func (p *picture) consider(m *member, s Snapshot, past record) Decision {
	if m.desired < 2 {
		return Decision{Reason: v1alpha1.ReasonIdle, Message: fmt.Sprintf(
			"no move would help: %s asks for %d replica and needs 2", m.name(), m.desired)}
	}
	if why := unsettled(m); why != "" {
		return Decision{Reason: v1alpha1.ReasonBlocked, Message: fmt.Sprintf("%s %s", m.name(), why), RetryAfter: pollTrouble}
	}
	ways := p.relocations(m)
	if len(ways) == 0 {
		return Decision{Reason: v1alpha1.ReasonNoRoom, Message: p.noRoom(m)}
	}

	way, why := movable(m, ways, s)
	if way == nil {
		return Decision{Reason: v1alpha1.ReasonBlocked, Message: fmt.Sprintf("no replica of %s can be moved: %s", m.name(), why)}
	}
	evidence, err := p.evidence(m)
	if err != nil {
		return Decision{Reason: v1alpha1.ReasonBlocked, Message: err.Error()}
	}
	around, err := p.around(m)
	if err != nil {
		return Decision{Reason: v1alpha1.ReasonBlocked, Message: err.Error()}
	}
	same := past.about(m.workload(), evidence)
	if iv := same.futile(around); iv != nil {
		return Decision{Reason: v1alpha1.ReasonFutile, Message: fmt.Sprintf(
			"moving a replica of %s changed nothing (Intervention %s), and nothing has changed since that could make it help", m.name(), iv.Name)}
	}
	if iv, wait := same.failed(s.Now); iv != nil {
		return Decision{
			Reason:     v1alpha1.ReasonBlocked,
			Message:    fmt.Sprintf("moving a replica of %s failed (Intervention %s): %s", m.name(), iv.Name, iv.Status.Message),
			RetryAfter: wait,
		}
	}

	pod := way.replica.pod
	reason := fmt.Sprintf("all %d ready replicas of %s are in %s, and %s can take one",
		len(m.ready), m.name(), describe(p.common(m.nodes())), way.to.Name)
	return Decision{
		Reason:  v1alpha1.ReasonRebalancing,
		Message: fmt.Sprintf("moving pod %s away from %s: %s", pod.Name, pod.Spec.NodeName, reason),
		Move: &Move{
			Namespace: pod.Namespace,
			Name:      pod.Name,
			UID:       pod.UID,
			Node:      pod.Spec.NodeName,
			Workload:  m.workload(),
			Evidence:  evidence,
			Attempt:   past.nextAttempt(pod.UID),
			Why:       reason,
		},
	}
}

// unsettled says what is under way at a member; empty when nothing is.
func unsettled(m *member) string {
	if len(m.ready) < int(m.desired) {
		return fmt.Sprintf("has %d of %d replicas ready", len(m.ready), m.desired)
	}
	if m.rollout {
		return "is being rolled out"
	}
	ready := make(map[string]bool, len(m.ready))
	for _, r := range m.ready {
		ready[r.pod.Name] = true
	}
	for _, pod := range m.pods {
		if !ready[pod.Name] && pod.DeletionTimestamp == nil && !finished(pod) {
			return fmt.Sprintf("has a pod that is not ready: %s", pod.Name)
		}
	}
	if m.election.waiting != "" {
		return fmt.Sprintf("may be electing a leader: none of its pods holds Lease %s", m.election.waiting)
	}
	return ""
}

// movable is the first relocation whose pod may be evicted, or why none may.
func movable(m *member, ways []relocation, s Snapshot) (*relocation, string) {
	leader, other := "", ""
	for i := range ways {
		pod := ways[i].replica.pod
		if m.election.holders[pod.Name] {
			leader = cmp.Or(leader, fmt.Sprintf("pod %s is the leader", pod.Name))
			continue
		}
		why := disruptionBlock(pod, s.PDBs)
		if hasClaim(&pod.Spec) {
			why = "it has a volume claim"
		}
		if why == "" {
			return &ways[i], ""
		}
		if other == "" {
			other = fmt.Sprintf("pod %s: %s", pod.Name, why)
		}
	}
	return nil, cmp.Or(other, leader)
}

// noRoom says why no node helps a member.
func (p *picture) noRoom(m *member) string {
	for _, key := range p.keys {
		values := map[string]bool{}
		for _, n := range p.placeable {
			if value, ok := n.Labels[key]; ok {
				values[value] = true
			}
		}
		if len(values) < 2 {
			return fmt.Sprintf("no other domain can take a replica of %s: %s has %d %s with a schedulable Ready node",
				m.name(), key, len(values), plural(len(values), "domain", "domains"))
		}
	}
	return fmt.Sprintf("no other domain can take a replica of %s: no schedulable Ready node outside %s fits it and keeps it apart",
		m.name(), describe(p.common(m.nodes())))
}

// describe lists domains in words.
func describe(domains []domain) string {
	out := make([]string, 0, len(domains))
	for _, d := range domains {
		out = append(out, d.String())
	}
	return names(out)
}

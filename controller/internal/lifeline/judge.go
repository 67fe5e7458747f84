package lifeline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// maxNamed is how many names a message lists before it counts the rest.
const maxNamed = 5

// picture is a snapshot worked through once.
type picture struct {
	keys      []string
	placeable []*corev1.Node
	members   []*member
}

// domain is one value of one topology key.
type domain struct{ key, name string }

func (d domain) String() string { return fmt.Sprintf("%s (%s)", d.name, d.key) }

// holds says whether a node is in the domain.
func (d domain) holds(node *corev1.Node) bool {
	value, ok := node.Labels[d.key]
	return ok && value == d.name
}

func newPicture(s Snapshot) (*picture, error) {
	nodes := make(map[string]*corev1.Node, len(s.Nodes))
	for _, n := range s.Nodes {
		nodes[n.Name] = n
	}
	members, err := findMembers(s, nodes)
	if err != nil {
		return nil, err
	}
	return &picture{keys: topologyKeys(s.Lifeline), placeable: placeableNodes(s.Nodes), members: members}, nil
}

// topologyKeys of a Lifeline with the API's default, each once.
func topologyKeys(l *v1alpha1.Lifeline) []string {
	if len(l.Spec.TopologyKeys) == 0 {
		return []string{corev1.LabelHostname}
	}
	keys := slices.Clone(l.Spec.TopologyKeys)
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Judge says what the loss of each failure domain would do to the members of a
// Lifeline.
//
// A replica counts when its pod is Ready and not terminating and its node is
// Ready. The loss of a domain
//
//   - stops a Standby or ActiveActive member that has ready replicas, all of
//     them in the domain; so one that asks for a single replica is always
//     stopped by the loss of that replica's domain;
//   - interrupts a Singleton in the domain where a node outside it could take
//     the pod and the pod has no storage, and stops it otherwise.
//
// A member without any ready replica is stopped already. The Lifeline does not
// survive then, but no domain is blamed for it. Neither does a Lifeline survive
// that selects nothing, that has a member scaled to zero, a Standby or
// ActiveActive member on one node only that is in no domain, or a topology key
// with fewer than two domains of Ready nodes.
func Judge(s Snapshot) Verdict {
	p, err := newPicture(s)
	if err != nil {
		return Verdict{Reason: v1alpha1.ReasonInvalidSpec, Message: err.Error()}
	}
	if len(p.members) == 0 {
		return Verdict{
			Reason:  v1alpha1.ReasonNoMembers,
			Message: fmt.Sprintf("spec.selector matches no Deployment or StatefulSet in namespace %s", s.Lifeline.Namespace),
		}
	}

	domains := p.domains()
	v := Verdict{}
	var zero, down []string
	for _, m := range p.members {
		switch {
		case m.desired == 0:
			zero = append(zero, m.name())
		case len(m.ready) == 0:
			down = append(down, m.name())
		}
		v.Members = append(v.Members, m.status())
		if len(m.ready) > v1alpha1.MaxNodes {
			v.NodesLeftOut++
		}
	}

	// The most certain trouble gives the reason; the message has all of it.
	var said []string
	complain := func(reason, message string) {
		if v.Reason == "" {
			v.Reason = reason
		}
		said = append(said, message)
	}
	if len(zero) > 0 {
		complain(v1alpha1.ReasonMemberScaledToZero, names(zero)+plural(len(zero), " is", " are")+" scaled to zero")
	}
	if len(down) > 0 {
		complain(v1alpha1.ReasonMemberNotReady, names(down)+plural(len(down), " has", " have")+" no ready replica")
	}
	if len(domains) > 0 && len(domains[0].Stops) > 0 {
		v.Weakest = domains[0].DeepCopy()
		complain(v1alpha1.ReasonDomainLossStops, loss(domains[0]))
	}
	if message := p.outside(); message != "" {
		complain(v1alpha1.ReasonDomainLossStops, message)
	}
	for _, key := range p.keys {
		if message := lonely(key, s.Nodes); message != "" {
			complain(v1alpha1.ReasonDomainLossStops, message)
		}
	}
	if v.Reason == "" {
		v.Survives = true
		v.Reason = v1alpha1.ReasonSurvives
		said = append(said, fmt.Sprintf("%d %s the loss of any one of %d domains",
			len(p.members), plural(len(p.members), "member outlives", "members outlive"), len(domains)))
		if len(domains) > 0 && len(domains[0].Interrupts) > 0 {
			said = append(said, loss(domains[0]))
		}
	}
	v.Message = strings.Join(said, "; ")

	v.Members, v.MembersLeftOut = bounded(v.Members, v1alpha1.MaxMembers)
	v.Domains, v.DomainsLeftOut = bounded(domains, v1alpha1.MaxDomains)
	return v
}

// domains that hold ready replicas, with what the loss of each would do, worst
// first: most stops, most interrupts, then by name and key.
func (p *picture) domains() []v1alpha1.Domain {
	seen := map[domain]bool{}
	var out []v1alpha1.Domain
	for _, m := range p.members {
		for _, r := range m.ready {
			for _, d := range p.domainsOf(r.node) {
				if !seen[d] {
					seen[d] = true
					out = append(out, p.lossOf(d))
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b v1alpha1.Domain) int {
		return cmp.Or(
			cmp.Compare(len(b.Stops), len(a.Stops)),
			cmp.Compare(len(b.Interrupts), len(a.Interrupts)),
			cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.TopologyKey, b.TopologyKey))
	})
	for i := range out {
		out[i].Stops, _ = bounded(out[i].Stops, v1alpha1.MaxMembers)
		out[i].Interrupts, _ = bounded(out[i].Interrupts, v1alpha1.MaxMembers)
	}
	return out
}

// domainsOf are the domains of a node, one for each topology key whose label it
// has.
func (p *picture) domainsOf(node *corev1.Node) []domain {
	var out []domain
	for _, key := range p.keys {
		if name, ok := node.Labels[key]; ok {
			out = append(out, domain{key: key, name: name})
		}
	}
	return out
}

// lossOf is what the loss of a domain would do to the members, in their order.
func (p *picture) lossOf(d domain) v1alpha1.Domain {
	out := v1alpha1.Domain{TopologyKey: d.key, Name: d.name}
	for _, m := range p.members {
		inside := 0
		for _, r := range m.ready {
			if d.holds(r.node) {
				inside++
			}
		}
		outside := len(m.ready) - inside
		switch {
		case inside == 0:
		case m.profile == v1alpha1.ProfileSingleton && (outside > 0 || p.movesOutOf(m, d)):
			out.Interrupts = append(out.Interrupts, m.name())
		case outside == 0:
			out.Stops = append(out.Stops, m.name())
		}
	}
	return out
}

// movesOutOf says whether a pod of the member could be started outside a
// domain.
func (p *picture) movesOutOf(m *member, d domain) bool {
	return !pinned(m) && slices.ContainsFunc(p.placeable, func(n *corev1.Node) bool {
		return !d.holds(n) && fits(m, n)
	})
}

// outside says which Standby or ActiveActive members run on one node only that
// is in no domain: the loss of that node stops them, and no domain shows it.
func (p *picture) outside() string {
	var stopped []string
	for _, m := range p.members {
		if m.profile == v1alpha1.ProfileSingleton || len(m.ready) == 0 || len(p.domainsOf(m.ready[0].node)) > 0 {
			continue
		}
		if !slices.ContainsFunc(m.ready, func(r replica) bool { return r.node != m.ready[0].node }) {
			stopped = append(stopped, m.name())
		}
	}
	if len(stopped) == 0 {
		return ""
	}
	return names(stopped) + plural(len(stopped), " runs on one node only, which has", " run on one node only each, which has") +
		" none of the labels of spec.topologyKeys"
}

// lonely says what is wrong with a topology key that has fewer than two domains
// of Ready nodes: nothing can be spread over it.
func lonely(key string, nodes []*corev1.Node) string {
	values := map[string]bool{}
	last := ""
	for _, n := range nodes {
		if value, ok := n.Labels[key]; ok && nodeReady(n) {
			values[value] = true
			last = value
		}
	}
	switch len(values) {
	case 0:
		return fmt.Sprintf("no Ready node has the label %s", key)
	case 1:
		return fmt.Sprintf("one domain only: %s is the only Ready one of %s", last, key)
	default:
		return ""
	}
}

// loss says in words what the loss of a domain would do.
func loss(d v1alpha1.Domain) string {
	var does []string
	if len(d.Stops) > 0 {
		does = append(does, "stops "+names(d.Stops))
	}
	if len(d.Interrupts) > 0 {
		does = append(does, "interrupts "+names(d.Interrupts))
	}
	return fmt.Sprintf("the loss of %s %s", domain{d.TopologyKey, d.Name}, strings.Join(does, " and "))
}

// names lists the first few of a sorted list and counts the rest.
func names(list []string) string {
	if len(list) <= maxNamed {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:maxNamed], ", "), len(list)-maxNamed)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// bounded is the head of a list, and how many it leaves out.
func bounded[T any](list []T, limit int) ([]T, int) {
	if len(list) <= limit {
		return list, 0
	}
	return list[:limit:limit], len(list) - limit
}

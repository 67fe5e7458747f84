package lifeline

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// evidenceLength is how many hexadecimal digits of the digest are kept.
const evidenceLength = 32

// place is a node that a pod could be placed on.
type place struct {
	Node    string
	Domains []string
	Taints  []string
	Fits    bool
}

// surroundings are what the result of moving a pod of a member depends on beside
// where its replicas are: the workload with its template and number of replicas,
// and the nodes that a pod could be placed on with their domains and taints.
type surroundings struct {
	Workload, UID string
	Template      *corev1.PodTemplateSpec
	Desired       int32
	Keys          []string
	Places        []place
}

// evidence is a digest of what a move of the member is decided from: its
// surroundings and the domains that the ready replicas are in. It holds no pod's
// name or UID: when the replacement lands where its predecessor was, the evidence
// is the same again.
func (p *picture) evidence(m *member) (string, error) {
	in := struct {
		surroundings
		Replicas []string
	}{surroundings: p.surroundings(m)}
	for _, r := range m.ready {
		in.Replicas = append(in.Replicas, fmt.Sprint(p.domainsOf(r.node)))
	}
	slices.Sort(in.Replicas)
	return digest(m, in)
}

// around is a digest of the member's surroundings. One that changed while a move
// was under way may have made it futile, so that the move is worth another try
// where it is different again.
func (p *picture) around(m *member) (string, error) {
	return digest(m, p.surroundings(m))
}

func (p *picture) surroundings(m *member) surroundings {
	in := surroundings{
		Workload: m.workload(),
		UID:      string(m.meta.UID),
		Template: m.template,
		Desired:  m.desired,
		Keys:     p.keys,
	}
	for _, n := range p.placeable {
		at := place{Node: n.Name, Fits: fits(m, n)}
		for _, d := range p.domainsOf(n) {
			at.Domains = append(at.Domains, d.String())
		}
		for _, t := range n.Spec.Taints {
			// The time that a taint was added at changes nothing.
			at.Taints = append(at.Taints, fmt.Sprintf("%s=%s:%s", t.Key, t.Value, t.Effect))
		}
		slices.Sort(at.Taints)
		in.Places = append(in.Places, at)
	}
	return in
}

func digest(m *member, in any) (string, error) {
	text, err := json.Marshal(in)
	if err != nil {
		return "", fmt.Errorf("digest the evidence about %s: %w", m.workload(), err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])[:evidenceLength], nil
}

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

// evidence is a digest of what the result of moving a pod of the member depends
// on: the workload with its template and number of replicas, the nodes that a
// pod could be placed on with their domains and taints, and the domains that
// the ready replicas are in. It holds no pod's name or UID: when the
// replacement lands where its predecessor was, the evidence is the same again.
func (p *picture) evidence(m *member) (string, error) {
	type place struct {
		Node    string
		Domains []string
		Taints  []string
		Fits    bool
	}
	in := struct {
		Workload, UID string
		Template      *corev1.PodTemplateSpec
		Desired       int32
		Keys          []string
		Places        []place
		Replicas      []string
	}{
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
	for _, r := range m.ready {
		in.Replicas = append(in.Replicas, fmt.Sprint(p.domainsOf(r.node)))
	}
	slices.Sort(in.Replicas)

	text, err := json.Marshal(in)
	if err != nil {
		return "", fmt.Errorf("digest the evidence about %s: %w", m.workload(), err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])[:evidenceLength], nil
}

package webhook

import (
	"maps"
	"slices"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// moves are the entries that an edit took rules from. Such an entry stays for
// policy.Settling beside the new one: a replica that has not seen the edit knows no rule
// of the new one, and would admit what both generations deny. One that has seen it judges
// by the new generation for either. The zero value has none.
type moves struct {
	// of is the entry of each rule, and until when one that was left may go.
	of    map[rule.Key]string
	until map[string]time.Time
}

// left takes what entry each rule has now, and returns those that stay though nobody
// wants them, as they are, with the bundle of the others.
func (m *moves) left(now map[rule.Key][]string, wanted []admissionregistrationv1.ValidatingWebhook, live *admissionregistrationv1.ValidatingWebhookConfiguration,
	bundle []byte, at time.Time,
) []admissionregistrationv1.ValidatingWebhook {
	of := make(map[rule.Key]string, len(now))
	for key, names := range now {
		of[key] = names[0]
		if before := m.of[key]; before != "" && before != names[0] {
			if m.until == nil {
				m.until = map[string]time.Time{}
			}
			m.until[before] = at.Add(policy.Settling)
		}
	}
	m.of = of
	var out []admissionregistrationv1.ValidatingWebhook
	for _, name := range slices.Sorted(maps.Keys(m.until)) {
		i := indexOf(live.Webhooks, name)
		if !m.until[name].After(at) || i < 0 || indexOf(wanted, name) >= 0 {
			delete(m.until, name)
			continue
		}
		entry := live.Webhooks[i].DeepCopy()
		entry.ClientConfig.CABundle = bundle
		out = append(out, *entry)
	}
	return out
}

// next is how long the entry stays that goes first, zero where there is none.
func (m *moves) next(at time.Time) time.Duration {
	var next time.Duration
	for _, until := range m.until {
		if left := max(until.Sub(at), time.Millisecond); next == 0 || left < next {
			next = left
		}
	}
	return next
}

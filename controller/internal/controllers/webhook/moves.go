package webhook

import (
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/mainstay-dev/mainstay/controller/internal/certs"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// moves are the entries that an edit took rules from. What such an entry asks about it goes
// on asking about for policy.Settling beside the new one: a replica that has not seen the
// edit knows no rule of the new one, and would admit what both generations deny. One that
// has seen it judges by the new generation for either. The zero value is that of a leader
// that knows nothing of before.
type moves struct {
	// of is the entry of each rule as it was written last, nil before the first time,
	// and now as it is to be written.
	of, now map[rule.Key]string
	// left are the entries that are kept by what is to be written, and until when those
	// that were written are.
	left  sets.Set[string]
	until map[string]time.Time
}

// keep returns the entries that are wanted with what is kept beside them, as far as there
// is room for it.
func (m *moves) keep(compiled *policy.Webhooks, wanted []admissionregistrationv1.ValidatingWebhook, live *admissionregistrationv1.ValidatingWebhookConfiguration,
	bundle []byte, at time.Time,
) []admissionregistrationv1.ValidatingWebhook {
	m.now, m.left = make(map[rule.Key]string, len(compiled.Of)), sets.Set[string]{}
	for key, name := range compiled.Of {
		m.now[key] = name
		if before := m.of[key]; before != "" && before != name {
			m.left.Insert(before)
		}
	}
	for name, until := range m.until {
		if until.After(at) {
			m.left.Insert(name)
		}
	}
	room, bundleSize := compiled.Room, certs.BundleSize(bundle)
	for i := range live.Webhooks {
		entry := live.Webhooks[i].DeepCopy()
		if m.of == nil && indexOf(wanted, entry.Name) < 0 && strings.HasSuffix(entry.Name, policy.EntrySuffix) {
			m.left.Insert(entry.Name) // a former leader's
		}
		if !m.left.Has(entry.Name) {
			continue
		}
		entry.ClientConfig.CABundle = bundle
		if room -= policy.EntrySize(entry, bundleSize); room < 0 {
			break
		}
		wanted = beside(wanted, entry)
	}
	return wanted
}

// written takes that the API server has what was kept last.
func (m *moves) written(at time.Time) {
	until := map[string]time.Time{}
	for name := range m.left {
		until[name] = at.Add(policy.Settling)
		if before, known := m.until[name]; known {
			until[name] = before
		}
	}
	m.of, m.until = m.now, until
}

// next is how long what is kept stays that goes first, zero where there is none.
func (m *moves) next(at time.Time) time.Duration {
	var next time.Duration
	for _, until := range m.until {
		next = sooner(next, max(until.Sub(at), time.Millisecond))
	}
	return next
}

package certs

import (
	"cmp"
	"crypto/x509"
	"slices"
	"time"
)

// served decides which certificate a replica shows. It is not safe for several
// goroutines.
type served struct {
	// delay is how long a CA has to be trusted before all API servers know of it.
	delay time.Duration

	// newest is what the Secret holds, and former what was shown before; nil for none.
	newest, former *material

	// known is false until the configuration has been read.
	known bool
	// entries is whether it has any: without one nobody calls.
	entries bool
	// anchors are the CAs that every entry trusts, and some those that any does.
	anchors, some []anchor
	// live are the CAs that any entry trusts, the newest first.
	live []*x509.Certificate
}

// anchor is a CA with the time since which it is trusted; the zero time for always.
type anchor struct {
	ca    *x509.Certificate
	since time.Time
}

// load takes what a Secret holds.
func (s *served) load(m material, now time.Time) {
	if s.newest != nil && !slices.EqualFunc(s.newest.pair.Certificate, m.pair.Certificate, slices.Equal) {
		s.former = s.choose(now)
	}
	s.newest = &m
}

// trust takes the CAs of each entry of the configuration. A CA that is new to this
// replica is trusted since the given time.
func (s *served) trust(entries [][]*x509.Certificate, since time.Time) {
	// Who sees the first entry sees what it trusts.
	if s.known && !s.entries {
		since = time.Time{}
	}
	var anchors, some []anchor
	s.live = nil
	for _, ca := range slices.Concat(entries...) {
		if slices.ContainsFunc(s.live, ca.Equal) {
			continue
		}
		s.live = append(s.live, ca)
		some = append(some, anchorOf(ca, s.some, since))
		if !slices.ContainsFunc(entries, func(other []*x509.Certificate) bool { return !slices.ContainsFunc(other, ca.Equal) }) {
			anchors = append(anchors, anchorOf(ca, s.anchors, since))
		}
	}
	// The Secret says which CA is the newest; of others their own certificates do.
	slices.SortStableFunc(s.live, func(a, b *x509.Certificate) int { return cmp.Compare(b.NotBefore.Unix(), a.NotBefore.Unix()) })
	s.known, s.entries, s.anchors, s.some = true, len(entries) > 0, anchors, some
}

// anchorOf is an anchor that is as old as it was known before, if it was.
func anchorOf(ca *x509.Certificate, before []anchor, since time.Time) anchor {
	if i := slices.IndexFunc(before, func(old anchor) bool { return old.ca.Equal(ca) }); i >= 0 {
		since = before[i].since
	}
	return anchor{ca: ca, since: since}
}

// trusted is whether every entry trusts a certificate, and for how long at least.
func (s *served) trusted(m *material, now time.Time, atLeast time.Duration) bool {
	return verified(m, s.anchors, now, atLeast)
}

// accepted is whether any entry trusts a certificate, and for how long at least. One that
// somebody gave another bundle is no reason for the others to have nobody to ask.
func (s *served) accepted(m *material, now time.Time, atLeast time.Duration) bool {
	return verified(m, s.some, now, atLeast)
}

func verified(m *material, anchors []anchor, now time.Time, atLeast time.Duration) bool {
	return slices.ContainsFunc(anchors, func(a anchor) bool {
		return now.Sub(a.since) >= atLeast && m.verify(now, "", a.ca) == nil
	})
}

// choose returns what to show, nil for nothing: the newest where nobody calls or where
// all API servers trust it; until then what was shown before, as long as that is any
// better.
func (s *served) choose(now time.Time) *material {
	switch {
	case s.newest == nil || s.former == nil || !s.entries:
		return s.newest
	case s.trusted(s.newest, now, s.delay):
		return s.newest
	case s.trusted(s.former, now, 0):
		return s.former
	case s.trusted(s.newest, now, 0) || expired(s.former, now):
		return s.newest
	default:
		return s.former
	}
}

// settle forgets what was shown before, once the newest is trusted.
func (s *served) settle(now time.Time) {
	if s.former != nil && s.entries && s.trusted(s.newest, now, s.delay) {
		s.former = nil
	}
}

// bundle is what the configuration is to trust: what the Secret says, and what is
// trusted already.
func (s *served) bundle(now time.Time) []*x509.Certificate {
	if s.newest == nil {
		return nil
	}
	return bundleOf(now, s.newest.bundle, s.live)
}

func expired(m *material, now time.Time) bool {
	return !now.Before(m.pair.Leaf.NotAfter)
}

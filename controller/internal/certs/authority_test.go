package certs

import (
	"crypto/x509"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// day0 is when everything is made in these tests.
var day0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func testAuthority() authority {
	return authority{
		caLife: 365 * day, servingLife: 90 * day,
		names: []string{"mainstay-webhook.mainstay-system.svc", "mainstay-webhook", "127.0.0.1"},
	}
}

func made(t *testing.T, a authority, from material, what renewal, at time.Time) (map[string][]byte, material) {
	t.Helper()
	data, _, err := a.renew(from, what, at)
	if err != nil {
		t.Fatal(err)
	}
	m, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return data, m
}

func TestWhatIsRenewedAndWhen(t *testing.T) {
	t.Parallel()
	first, _ := made(t, testAuthority(), material{}, renewAll, day0)
	second, _ := made(t, testAuthority(), material{}, renewAll, day0)
	tests := map[string]struct {
		change  func(data map[string][]byte)
		names   []string
		at      time.Time
		want    renewal
		wantWhy string
	}{
		"nothing of a new one":                 {at: day0, want: renewNothing},
		"nothing for a clock 4 minutes behind": {at: day0.Add(-4 * time.Minute), want: renewNothing},
		"nothing before a third is left":       {at: day0.Add(59 * day), want: renewNothing},
		"the serving certificate at a third":   {at: day0.Add(61 * day), want: renewServing, wantWhy: "the serving certificate is near its end"},
		"the CA at a third":                    {at: day0.Add(244 * day), want: renewAll, wantWhy: "the CA is near its end"},
		"all of an empty one":                  {change: func(d map[string][]byte) { clear(d) }, at: day0, want: renewAll, wantWhy: "there is no CA"},
		"all of garbage": {
			change: func(d map[string][]byte) {
				for key := range d {
					d[key] = []byte("garbage")
				}
			},
			at: day0, want: renewAll, wantWhy: "there is no CA",
		},
		"nothing of somebody else's":       {change: func(d map[string][]byte) { delete(d, KeyCAKey) }, at: day0, want: renewNothing},
		"nothing beside a former CA's key": {change: func(d map[string][]byte) { d[KeyCAKey] = second[KeyCAKey] }, at: day0, want: renewNothing},
		"all of somebody else's near its end": {
			change: func(d map[string][]byte) { delete(d, KeyCAKey) },
			at:     day0.Add(61 * day), want: renewAll, wantWhy: "the serving certificate is near its end, and the CA has no key",
		},
		"all where the CA is none": {
			change: func(d map[string][]byte) {
				d[KeyCA], d[KeyCAKey] = d[corev1.TLSCertKey], d[corev1.TLSPrivateKeyKey]
			},
			at: day0, want: renewAll, wantWhy: "what should be the CA is none",
		},
		"all where the CA is of tomorrow": {at: day0.Add(-day), want: renewAll, wantWhy: "the CA is not valid yet"},
		"a serving certificate without its key": {
			change: func(d map[string][]byte) { d[corev1.TLSPrivateKeyKey] = second[corev1.TLSPrivateKeyKey] },
			at:     day0, want: renewServing, wantWhy: "the serving certificate is not valid: there is no certificate",
		},
		"a serving certificate of another CA": {
			change: func(d map[string][]byte) {
				d[corev1.TLSCertKey], d[corev1.TLSPrivateKeyKey] = second[corev1.TLSCertKey], second[corev1.TLSPrivateKeyKey]
			},
			at: day0, want: renewServing,
		},
		"a serving certificate for fewer names": {
			names: []string{"hook.example"}, at: day0, want: renewServing, wantWhy: "the serving certificate is not for hook.example",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := maps.Clone(first)
			if tc.change != nil {
				tc.change(data)
			}
			m, _ := parse(data)
			a := testAuthority()
			a.names = append(a.names, tc.names...)
			got, why := a.judge(m, tc.at)
			if got != tc.want || tc.wantWhy != "" && why != tc.wantWhy {
				t.Errorf("judged %q because %q, want %q because %q", got, why, tc.want, tc.wantWhy)
			}
		})
	}
}

func TestServingCertificateKeepsItsCA(t *testing.T) {
	t.Parallel()
	a := testAuthority()
	_, first := made(t, a, material{}, renewAll, day0)
	_, second := made(t, a, first, renewServing, day0.Add(61*day))
	if !slices.EqualFunc(first.bundle, second.bundle, (*x509.Certificate).Equal) {
		t.Error("the CA changed with the serving certificate")
	}
	if first.pair.Leaf.Equal(second.pair.Leaf) {
		t.Error("the serving certificate did not change")
	}
	if what, why := a.judge(second, day0.Add(61*day)); what != renewNothing {
		t.Errorf("the new one is renewed at once: %s", why)
	}
}

func TestFormerCAsStayUntilTheyExpire(t *testing.T) {
	t.Parallel()
	a := testAuthority()
	var cas []*x509.Certificate
	_, m := made(t, a, material{}, renewAll, day0)
	cas = append(cas, m.bundle[0])
	steps := []struct {
		at   time.Duration
		want []int // indexes of the CAs by age
	}{
		{244 * day, []int{1, 0}},
		{250 * day, []int{2, 1, 0}},
		{260 * day, []int{3, 2, 1}},   // three at most
		{260*day + 365*day, []int{4}}, // the others have expired: 3 ends at the same instant
		{260*day + 366*day, []int{5, 4}},
	}
	for _, step := range steps {
		_, m = made(t, a, m, renewAll, day0.Add(step.at))
		cas = append(cas, m.bundle[0])
		var got []int
		for _, ca := range m.bundle {
			got = append(got, slices.IndexFunc(cas, ca.Equal))
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("CAs after %s (-want +got):\n%s", step.at, diff)
		}
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	a := testAuthority()
	_, m := made(t, a, material{}, renewAll, day0)
	_, other := made(t, a, material{}, renewAll, day0)
	ca, leaf := m.bundle[0], m.pair.Leaf
	if err := m.verify(day0, "mainstay-webhook.mainstay-system.svc", ca); err != nil {
		t.Error(err)
	}
	if err := m.verify(day0, "kubernetes.default.svc", ca); err == nil {
		t.Error("the certificate is for any name")
	}
	if leaf.IsCA || leaf.KeyUsage != x509.KeyUsageDigitalSignature || ca.KeyUsage&x509.KeyUsageCertSign == 0 {
		t.Errorf("usages: leaf %v (CA %v), CA %v", leaf.KeyUsage, leaf.IsCA, ca.KeyUsage)
	}
	for _, c := range []*x509.Certificate{ca, leaf} {
		if c.SerialNumber.BitLen() < 64 || c.SerialNumber.Cmp(other.bundle[0].SerialNumber) == 0 {
			t.Errorf("serial number %s", c.SerialNumber)
		}
	}
	// One that would outlive its CA is cut to it.
	_, late := made(t, a, m, renewServing, day0.Add(300*day))
	if !late.pair.Leaf.NotAfter.Equal(ca.NotAfter) {
		t.Errorf("ends at %s, its CA at %s", late.pair.Leaf.NotAfter, ca.NotAfter)
	}
}

func TestReplicasOfDifferentNamesDoNotTakeTurns(t *testing.T) {
	t.Parallel()
	one, other := testAuthority(), testAuthority()
	one.names = append(one.names, "one.example")
	other.names = append(other.names, "203.0.113.7")
	_, m := made(t, one, material{}, renewAll, day0)
	if what, _ := other.judge(m, day0); what != renewServing {
		t.Fatalf("judged %q", what)
	}
	_, m = made(t, other, m, renewServing, day0)
	for _, a := range []authority{one, other} {
		if what, why := a.judge(m, day0); what != renewNothing {
			t.Errorf("renewed once more: %s", why)
		}
	}
}

// TestCAThatCannotSignIsReplaced has a CA that somebody else put there, and by which no
// certificate is accepted, be made anew, and not the certificate again and again.
func TestCAThatCannotSignIsReplaced(t *testing.T) {
	t.Parallel()
	a := testAuthority()
	_, good := made(t, a, material{}, renewAll, day0)
	for name, tc := range map[string]struct {
		change func(template *x509.Certificate)
		want   renewal
	}{
		"one as ours":          {func(*x509.Certificate) {}, renewServing},
		"for other names":      {func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"example.com"} }, renewAll},
		"not for these names":  {func(c *x509.Certificate) { c.ExcludedDNSDomains = []string{"svc"} }, renewAll},
		"not for signing":      {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }, renewAll},
		"not for servers":      {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, renewAll},
		"for these names only": {func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"svc", "mainstay-webhook"} }, renewServing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := newKey()
			if err != nil {
				t.Fatal(err)
			}
			ca := template("somebody-elses", day0, a.caLife)
			ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
			tc.change(ca)
			signed, err := sign(ca, ca, key.Public(), key)
			if err != nil {
				t.Fatal(err)
			}
			m := material{bundle: []*x509.Certificate{signed}, caKey: key, pair: good.pair}
			judged, _ := a.judge(m, day0)
			data, what, err := a.renew(m, judged, day0)
			if err != nil || judged != renewServing || what != tc.want {
				t.Fatalf("judged %q, renewed %q, %v; want %q", judged, what, err, tc.want)
			}
			renewed, err := parse(data)
			if err != nil {
				t.Fatal(err)
			}
			if again, why := a.judge(renewed, day0); again != renewNothing {
				t.Errorf("renewed once more: %s", why)
			}
			if !slices.ContainsFunc(renewed.bundle, signed.Equal) {
				t.Error("the former CA is not trusted any more")
			}
		})
	}
}

// TestBundleSize has room for as many CAs as there may be, of ours and of longer ones.
func TestBundleSize(t *testing.T) {
	t.Parallel()
	a := testAuthority()
	_, m := made(t, a, material{}, renewAll, day0)
	for range maxBundle {
		_, m = made(t, a, m, renewAll, day0)
	}
	all := encode(m.bundle)
	long := template(strings.Repeat("a", 4000), day0, a.caLife)
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	longCA, err := sign(long, long, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	longPEM := encode([]*x509.Certificate{longCA})
	for name, tc := range map[string]struct {
		bundle []byte
		want   int
	}{
		"none":          {nil, 3 << 10},
		"one of ours":   {encode(m.bundle[:1]), 3 << 10},
		"three of ours": {all, 3 << 10},
		"a longer one":  {encode([]*x509.Certificate{m.bundle[0], longCA}), 3 * len(longPEM)},
	} {
		if got := BundleSize(tc.bundle); got != tc.want || len(tc.bundle) > got {
			t.Errorf("%s, of %d bytes: room for %d, want %d", name, len(tc.bundle), got, tc.want)
		}
	}
	if len(m.bundle) != maxBundle {
		t.Errorf("%d CAs", len(m.bundle))
	}
}

package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/keyutil"
)

// backdated is how long before it is made a certificate is valid, for machines whose
// clock is behind; a tenth of its life at most.
const backdated = 5 * time.Minute

// maxNames bounds the names of a certificate.
const maxNames = 16

// renewal is what has to be made anew of a Secret.
type renewal int

const (
	// renewNothing is for a Secret that will do.
	renewNothing renewal = iota
	// renewServing is a new certificate of the same CA.
	renewServing
	// renewAll is a new CA, and a new certificate of it.
	renewAll
)

// String names the renewal in logs.
func (r renewal) String() string {
	switch r {
	case renewNothing:
		return "nothing"
	case renewServing:
		return "the serving certificate"
	case renewAll:
		return "the CA and the serving certificate"
	default:
		return "unknown"
	}
}

// authority decides what a Secret lacks, and makes it.
type authority struct {
	caLife, servingLife time.Duration
	// names are what the certificate is for, DNS names and IP addresses.
	names []string
}

// judge says what has to be made anew, and why. That the CA's key is missing is no reason
// by itself: whoever else writes the Secret, as while it changes hands, is not fought.
func (a authority) judge(m material, now time.Time) (renewal, string) {
	what, why := a.due(m, now)
	if what == renewServing && m.caKey == nil {
		return renewAll, why + ", and the CA has no key"
	}
	return what, why
}

func (a authority) due(m material, now time.Time) (renewal, string) {
	switch {
	case len(m.bundle) == 0:
		return renewAll, "there is no CA"
	case !m.bundle[0].IsCA:
		return renewAll, "what should be the CA is none"
	case now.Before(m.bundle[0].NotBefore):
		return renewAll, "the CA is not valid yet"
	case !now.Before(renewAt(m.bundle[0])):
		return renewAll, "the CA is near its end"
	}
	if err := m.verify(now, "", m.bundle[0]); err != nil {
		return renewServing, "the serving certificate is not valid: " + err.Error()
	}
	for _, name := range a.names {
		if m.pair.Leaf.VerifyHostname(name) != nil {
			return renewServing, "the serving certificate is not for " + name
		}
	}
	// One that ends with its CA is not renewed for that: the CA is renewed before.
	if leaf := m.pair.Leaf; !now.Before(renewAt(leaf)) {
		return renewServing, "the serving certificate is near its end"
	}
	return renewNothing, ""
}

// renewAt is when a third of a certificate's life is left.
func renewAt(c *x509.Certificate) time.Time {
	return c.NotAfter.Add(-c.NotAfter.Sub(c.NotBefore) / 3)
}

// renew returns the data of the Secret that m was read from, with what is made anew, and
// what that is: a CA that cannot sign for the names is made anew too.
func (a authority) renew(m material, what renewal, now time.Time) (map[string][]byte, renewal, error) {
	key, err := newKey()
	if err != nil {
		return nil, what, err
	}
	var ca, serving *x509.Certificate
	caKey, former := m.caKey, m.bundle
	if what != renewAll {
		ca, former = m.bundle[0], m.bundle[1:]
		if serving, err = a.serving(ca, caKey, key.Public(), a.namesWith(m, now), now); err != nil || !a.accepted(serving, ca, now) {
			what, former = renewAll, m.bundle
		}
	}
	if what == renewAll {
		if ca, caKey, err = a.newCA(now); err != nil {
			return nil, what, err
		}
		if serving, err = a.serving(ca, caKey, key.Public(), a.namesWith(m, now), now); err != nil {
			return nil, what, err
		}
	}
	caKeyPEM, err := keyutil.MarshalPrivateKeyToPEM(caKey)
	if err != nil {
		return nil, what, fmt.Errorf("encode the CA's key: %w", err)
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return nil, what, fmt.Errorf("encode the serving certificate's key: %w", err)
	}
	return map[string][]byte{
		KeyCA:                   encode(bundleOf(now, []*x509.Certificate{ca}, former)),
		KeyCAKey:                caKeyPEM,
		corev1.TLSCertKey:       encode([]*x509.Certificate{serving}),
		corev1.TLSPrivateKeyKey: keyPEM,
	}, what, nil
}

func (a authority) newCA(now time.Time) (*x509.Certificate, crypto.Signer, error) {
	key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	template := template("mainstay-webhook-ca", now, a.caLife)
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	ca, err := sign(template, template, key.Public(), key)
	if err != nil {
		return nil, nil, fmt.Errorf("make the CA: %w", err)
	}
	return ca, key, nil
}

// accepted says whether whoever trusts the CA accepts the certificate by this replica's
// names. The CA may be of somebody else: one that is for other names, or not for signing.
func (a authority) accepted(serving, ca *x509.Certificate, now time.Time) bool {
	m := material{pair: &tls.Certificate{Certificate: [][]byte{serving.Raw}, Leaf: serving}}
	return m.verify(now, a.names[0], ca) == nil
}

// namesWith are this replica's names and those that the certificate has already: two
// replicas that were told different ones would take turns for good otherwise.
func (a authority) namesWith(m material, now time.Time) []string {
	names := slices.Clone(a.names)
	if m.verify(now, "", m.bundle...) != nil {
		return names
	}
	had := slices.Clone(m.pair.Leaf.DNSNames)
	for _, ip := range m.pair.Leaf.IPAddresses {
		had = append(had, ip.String())
	}
	for _, name := range had {
		if len(names) < maxNames && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func (a authority) serving(ca *x509.Certificate, caKey crypto.Signer, public crypto.PublicKey, names []string, now time.Time) (*x509.Certificate, error) {
	template := template("mainstay-webhook", now, a.servingLife)
	if template.NotAfter.After(ca.NotAfter) {
		template.NotAfter = ca.NotAfter
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	serving, err := sign(template, ca, public, caKey)
	if err != nil {
		return nil, fmt.Errorf("make the serving certificate: %w", err)
	}
	return serving, nil
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return key, nil
}

func template(name string, now time.Time, life time.Duration) *x509.Certificate {
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: name, Organization: []string{"mainstay.dev"}},
		NotBefore: now.Add(-min(backdated, life/10)),
		NotAfter:  now.Add(life),
	}
}

// sign makes a certificate with a random serial number of 127 bits, as RFC 5280 allows
// 20 bytes and asks for a positive number.
func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial.Add(serial, big.NewInt(1))
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	certs, err := x509.ParseCertificates(der)
	if err != nil {
		return nil, err
	}
	return certs[0], nil
}

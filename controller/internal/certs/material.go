package certs

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// The keys of the Secret beside those of its type.
const (
	// KeyCA holds the CA's certificate, and behind it those of former CAs that have not
	// expired.
	KeyCA = "ca.crt"
	// KeyCAKey holds the CA's key. Somebody else who writes the Secret need not put
	// theirs there.
	KeyCAKey = "ca.key"
)

const (
	// maxBundle bounds the CAs that are trusted at once.
	maxBundle = 3
	// caSize is how long a CA is taken for at least, in bytes of PEM: one of ours has less.
	caSize = 1 << 10
)

// BundleSize is how long a bundle may become, in bytes, that is another one now: with as many
// CAs as there may be, each as long as the longest of it.
func BundleSize(bundle []byte) int {
	longest := caSize
	cas, err := cert.ParseCertsPEM(bundle)
	if err != nil {
		cas = nil // an empty one, before there is a certificate
	}
	for _, ca := range cas {
		longest = max(longest, len(encode([]*x509.Certificate{ca})))
	}
	return maxBundle * longest
}

// material is what a Secret holds, as far as it can be read.
type material struct {
	bundle []*x509.Certificate // the CA first, former ones behind it
	caKey  crypto.Signer       // nil where there is none, or not the CA's
	pair   *tls.Certificate    // nil where there is none, or key and certificate differ
}

// parse reads as much as it can of a Secret's data. Errors name the key and never have
// any of its content.
func parse(data map[string][]byte) (material, error) {
	var (
		m    material
		errs []error
	)
	if bundle, err := cert.ParseCertsPEM(data[KeyCA]); err != nil {
		errs = append(errs, fmt.Errorf("%s has no certificate", KeyCA))
	} else {
		m.bundle = bundle
	}
	if key, err := keyutil.ParsePrivateKeyPEM(data[KeyCAKey]); err == nil && len(m.bundle) > 0 {
		if signer, ok := key.(crypto.Signer); ok && samePublicKey(signer.Public(), m.bundle[0].PublicKey) {
			m.caKey = signer
		}
	}
	if pair, err := tls.X509KeyPair(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey]); err != nil {
		errs = append(errs, fmt.Errorf("%s and %s are no certificate and its key", corev1.TLSCertKey, corev1.TLSPrivateKeyKey))
	} else {
		m.pair = &pair
	}
	return m, errors.Join(errs...)
}

func samePublicKey(a, b crypto.PublicKey) bool {
	comparable, ok := a.(interface{ Equal(x crypto.PublicKey) bool })
	return ok && comparable.Equal(b)
}

// verify returns nil where whoever trusts the CAs accepts the certificate at a time, by
// a name.
func (m material) verify(now time.Time, name string, cas ...*x509.Certificate) error {
	if m.pair == nil {
		return errors.New("there is no certificate")
	}
	between := x509.NewCertPool()
	for _, der := range m.pair.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(c)
		}
	}
	_, err := m.pair.Leaf.Verify(x509.VerifyOptions{
		DNSName: name, Roots: pool(cas), Intermediates: between, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return err
}

func pool(cas []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range cas {
		p.AddCert(c)
	}
	return p
}

// bundleOf puts lists of CAs together, each once and in order, without those that have
// expired, and cuts the result to its bound.
func bundleOf(now time.Time, lists ...[]*x509.Certificate) []*x509.Certificate {
	var out []*x509.Certificate
	for _, c := range slices.Concat(lists...) {
		if now.Before(c.NotAfter) && !slices.ContainsFunc(out, c.Equal) {
			out = append(out, c)
		}
	}
	return out[:min(len(out), maxBundle)]
}

// encode returns CAs as PEM; nil for none.
func encode(cas []*x509.Certificate) []byte {
	content, err := cert.EncodeCertificates(cas...)
	if err != nil {
		return nil // a Buffer takes everything
	}
	return content
}

package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// certLifetime bounds every certificate: a cluster here lives for minutes, or for
// the days that a person keeps one.
const certLifetime = 30 * 24 * time.Hour

// keyPair is a certificate and its private key, both in PEM.
type keyPair struct{ cert, key []byte }

// authority signs the certificates of one cluster.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  keyPair
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the cluster's CA key: %w", err)
	}
	template, err := newTemplate(pkix.Name{CommonName: "mainstay-test-ca"})
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage |= x509.KeyUsageCertSign
	pair, err := sign(template, template, key, key)
	if err != nil {
		return nil, fmt.Errorf("making the cluster's CA: %w", err)
	}
	return parseAuthority(pair)
}

// parseAuthority reads an authority back from its PEM form.
func parseAuthority(pair keyPair) (*authority, error) {
	certBlock, _ := pem.Decode(pair.cert)
	keyBlock, _ := pem.Decode(pair.key)
	if certBlock == nil || keyBlock == nil {
		return nil, fmt.Errorf("reading the cluster's CA: not PEM")
	}
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the cluster's CA: %w", err)
	}
	key, err := x509.ParseECPrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the cluster's CA key: %w", err)
	}
	return &authority{cert: cert, key: key, pem: pair}, nil
}

// client signs a client certificate: the user is its common name, the groups are
// its organizations.
func (a *authority) client(user string, groups ...string) (keyPair, error) {
	template, err := newTemplate(pkix.Name{CommonName: user, Organization: groups})
	if err != nil {
		return keyPair{}, err
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.issue(template)
}

// serving signs a certificate for servers on this machine, which may have one more
// address.
func (a *authority) serving(address string) (keyPair, error) {
	template, err := newTemplate(pkix.Name{CommonName: "mainstay-test"})
	if err != nil {
		return keyPair{}, err
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	template.IPAddresses = []net.IP{net.ParseIP(loopback), net.ParseIP(firstServiceIP), net.ParseIP(address)}
	return a.issue(template)
}

// node signs the certificate with which a worker's kubelet serves.
func (a *authority) node(name, address string) (keyPair, error) {
	template, err := newTemplate(pkix.Name{CommonName: "system:node:" + name, Organization: []string{"system:nodes"}})
	if err != nil {
		return keyPair{}, err
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.DNSNames = []string{name}
	template.IPAddresses = []net.IP{net.ParseIP(address)}
	return a.issue(template)
}

func (a *authority) issue(template *x509.Certificate) (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, fmt.Errorf("making a key for %s: %w", template.Subject.CommonName, err)
	}
	pair, err := sign(template, a.cert, key, a.key)
	if err != nil {
		return keyPair{}, fmt.Errorf("making a certificate for %s: %w", template.Subject.CommonName, err)
	}
	return pair, nil
}

func newTemplate(subject pkix.Name) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("making a serial number: %w", err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		// A clock that is set back a little must not make a fresh certificate invalid.
		NotBefore: now.Add(-time.Hour),
		NotAfter:  now.Add(certLifetime),
		KeyUsage:  x509.KeyUsageDigitalSignature,
	}, nil
}

func sign(template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) (keyPair, error) {
	cert, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		return keyPair{}, err
	}
	return encode(cert, key)
}

func encode(cert []byte, key *ecdsa.PrivateKey) (keyPair, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return keyPair{}, err
	}
	return keyPair{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}),
	}, nil
}

// newServiceAccountKey returns the key that signs service account tokens. The API
// server reads the public half from the private one.
func newServiceAccountKey() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the service account key: %w", err)
	}
	pair, err := encode(nil, key)
	if err != nil {
		return nil, fmt.Errorf("making the service account key: %w", err)
	}
	return pair.key, nil
}

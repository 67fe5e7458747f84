package lockout_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/test/replicas"
)

// secretName is that of the webhook's certificate, with the keys below it.
const (
	secretName = "mainstay-webhook-tls"
	keyCA      = "ca.crt"
	keyCAKey   = "ca.key"
)

// authority is a CA of the test's, or Mainstay's own.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newAuthority makes a CA that ends at a time.
func newAuthority(t *testing.T, ends time.Time) authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "another-ca"},
		NotBefore: ends.Add(-24 * time.Hour), NotAfter: ends,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return authority{cert: signed(t, template, template, key.Public(), key), key: key}
}

// authority reads Mainstay's own CA.
func (e *env) authority(t *testing.T) authority {
	t.Helper()
	secret := e.secret(t)
	certs, err := cert.ParseCertsPEM(secret.Data[keyCA])
	if err != nil {
		t.Fatal(err)
	}
	key, err := keyutil.ParsePrivateKeyPEM(secret.Data[keyCAKey])
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert: certs[0], key: key.(crypto.Signer)}
}

func (e *env) secret(t *testing.T) *corev1.Secret {
	t.Helper()
	var secret corev1.Secret
	if err := e.client.Get(t.Context(), client.ObjectKey{Namespace: replicas.Namespace, Name: secretName}, &secret); err != nil {
		t.Fatal(err)
	}
	return &secret
}

// serving makes a certificate for the Front that ends at a time.
func (a authority) serving(t *testing.T, ends time.Time) tls.Certificate {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "mainstay-webhook"},
		NotBefore: ends.Add(-24 * time.Hour), NotAfter: ends,
		DNSNames: []string{"mainstay-webhook.mainstay-system.svc"}, IPAddresses: []net.IP{net.IPv4zero},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leaf := signed(t, template, a.cert, key.Public(), a.key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

func signed(t *testing.T, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// bundle is what whoever trusts the CA has.
func (a authority) bundle() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// data is what the Secret has, with this CA and a certificate of it.
func (a authority) data(t *testing.T, serving tls.Certificate) map[string][]byte {
	t.Helper()
	encode := func(key crypto.PrivateKey) []byte {
		out, err := keyutil.MarshalPrivateKeyToPEM(key)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	return map[string][]byte{
		keyCA: a.bundle(), keyCAKey: encode(a.key),
		corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: serving.Certificate[0]}),
		corev1.TLSPrivateKeyKey: encode(serving.PrivateKey),
	}
}

// impostor is a server with a certificate that admits whatever it is asked about.
func impostor(t *testing.T, serving tls.Certificate) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Request == nil {
			http.Error(w, "no review", http.StatusBadRequest)
			return
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		review.Request = nil
		_ = json.NewEncoder(w).Encode(review)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{serving}, MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

package health

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
)

// NewClient returns a client that accepts a server by one name and some CAs only. It
// keeps no connection: each question is to find out whether one can be made.
func NewClient(roots *x509.CertPool, serverName string) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: roots, ServerName: serverName, MinVersion: tls.VersionTLS12},
			DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

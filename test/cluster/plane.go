package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mainstay-dev/mainstay/test/cluster/tools"
)

// adminUser is who the cluster's own config acts as, a member of system:masters.
const adminUser = "mainstay-admin"

// plane is the control plane that the cluster started itself.
type plane struct {
	paths map[string]string
	ca    *authority
	pki   string
	// apiHost is the address that the API server listens on.
	apiHost string

	etcdPort, etcdPeerPort                 int
	apiPort, controllerPort, schedulerPort int

	etcd, apiServer, controllers, scheduler *process
}

// newPlane chooses the ports and makes the certificates of a control plane whose API
// server listens on the address apiHost.
func newPlane(dir, apiHost string, paths map[string]string) (*plane, error) {
	ports, err := FreePorts(5)
	if err != nil {
		return nil, err
	}
	p := &plane{
		paths: paths, pki: filepath.Join(dir, "pki"), apiHost: apiHost,
		etcdPort: ports[0], etcdPeerPort: ports[1], apiPort: ports[2], controllerPort: ports[3], schedulerPort: ports[4],
	}
	if p.ca, err = newAuthority(); err != nil {
		return nil, err
	}
	serving, err := p.ca.serving(apiHost)
	if err != nil {
		return nil, err
	}
	serviceAccounts, err := newServiceAccountKey()
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(p.pki, 0o700); err != nil {
		return nil, fmt.Errorf("writing the cluster's certificates: %w", err)
	}
	err = p.write(map[string][]byte{
		"ca.crt": p.ca.pem.cert, "ca.key": p.ca.pem.key,
		"serving.crt": serving.cert, "serving.key": serving.key,
		"service-accounts.key": serviceAccounts,
	})
	return p, err
}

// useRealWorkers has the API server listen where workers reach it.
func (p *plane) useRealWorkers() error {
	p.apiPort = apiPort
	return p.realCertificates()
}

// write writes files of certificates and keys.
func (p *plane) write(files map[string][]byte) error {
	for name, text := range files {
		if err := os.WriteFile(p.file(name), text, 0o600); err != nil {
			return fmt.Errorf("writing the cluster's certificates: %w", err)
		}
	}
	return nil
}

// file is the path of a file of certificates or keys.
func (p *plane) file(name string) string { return filepath.Join(p.pki, name) }

func (p *plane) host() string {
	return "https://" + net.JoinHostPort(p.apiHost, strconv.Itoa(p.apiPort))
}

// processes are those of the control plane that have been started.
func (p *plane) processes() []*process {
	var all []*process
	for _, one := range []*process{p.controllers, p.scheduler, p.apiServer, p.etcd} {
		if one != nil {
			all = append(all, one)
		}
	}
	return all
}

// config is a client config for a user of the cluster.
func (p *plane) config(user string, groups ...string) (*rest.Config, error) {
	pair, err := p.ca.client(user, groups...)
	if err != nil {
		return nil, err
	}
	return clientConfig(p.host(), p.ca.pem.cert, pair), nil
}

// startPlane starts the control plane and waits until it is ready. The controllers
// and the scheduler become ready while the workers start: awaitPlane.
func (c *Cluster) startPlane(ctx context.Context) error {
	p := c.plane
	var err error
	if c.cfg, err = p.config(adminUser, "system:masters"); err != nil {
		return err
	}
	if err := WriteKubeconfig(c.Kubeconfig(), c.cfg); err != nil {
		return err
	}
	if c.client, err = kubernetes.NewForConfig(c.cfg); err != nil {
		return fmt.Errorf("making a client of the cluster: %w", err)
	}
	if c.opts.Audit {
		if err := os.WriteFile(filepath.Join(c.dir, "audit-policy.yaml"), []byte(auditPolicy), 0o644); err != nil {
			return fmt.Errorf("writing the audit policy: %w", err)
		}
	}
	for _, user := range []string{tools.ControllerManager, tools.Scheduler} {
		cfg, err := p.config("system:" + user)
		if err != nil {
			return err
		}
		if err := WriteKubeconfig(filepath.Join(c.dir, user+".kubeconfig"), cfg); err != nil {
			return err
		}
	}
	return c.runPlane(ctx)
}

// runPlane starts the processes of the control plane.
func (c *Cluster) runPlane(ctx context.Context) error {
	p := c.plane
	var err error
	if p.etcd, err = c.group.start(tools.Etcd, p.paths[tools.Etcd], p.etcdArgs(c.dir)...); err != nil {
		return err
	}
	if err := c.await(ctx, p.etcd, healthy(http.DefaultClient, "http://"+hostPort(p.etcdPort)+"/health")); err != nil {
		return err
	}
	if err := c.startAPIServer(ctx); err != nil {
		return err
	}
	if p.controllers, err = c.group.start(tools.ControllerManager, p.paths[tools.ControllerManager], p.controllerArgs(c.dir, c.opts)...); err != nil {
		return err
	}
	p.scheduler, err = c.group.start(tools.Scheduler, p.paths[tools.Scheduler], p.schedulerArgs(c.dir)...)
	return err
}

// awaitPlane waits for what startPlane left to become ready.
func (c *Cluster) awaitPlane(ctx context.Context) error {
	p := c.plane
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.ca.pem.cert)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	return errors.Join(
		c.await(ctx, p.controllers, healthy(client, "https://"+hostPort(p.controllerPort)+"/healthz")),
		c.await(ctx, p.scheduler, healthy(client, "https://"+hostPort(p.schedulerPort)+"/readyz")),
		// No pod can be created in a namespace before it has this account.
		c.await(ctx, p.controllers, func(ctx context.Context) error {
			_, err := c.client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
			return err
		}),
	)
}

// healthy returns a check that url answers 200.
func healthy(client *http.Client, url string) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("GET %s: %s", url, resp.Status)
		}
		return nil
	}
}

// stopGrace is how long the API server may take to end by itself: the seconds that it
// gives watches, and requests that it is still serving.
const stopGrace = 30 * time.Second

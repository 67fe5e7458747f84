package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
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

	etcdPort, etcdPeerPort                 int
	apiPort, controllerPort, schedulerPort int

	etcd, apiServer, controllers, scheduler *process
}

func newPlane(dir string, paths map[string]string) (*plane, error) {
	ports, err := freePorts(5)
	if err != nil {
		return nil, err
	}
	p := &plane{
		paths: paths, pki: filepath.Join(dir, "pki"),
		etcdPort: ports[0], etcdPeerPort: ports[1], apiPort: ports[2], controllerPort: ports[3], schedulerPort: ports[4],
	}
	if p.ca, err = newAuthority(); err != nil {
		return nil, err
	}
	serving, err := p.ca.serving()
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
	for name, text := range map[string][]byte{
		"ca.crt": p.ca.pem.cert, "ca.key": p.ca.pem.key,
		"serving.crt": serving.cert, "serving.key": serving.key,
		"service-accounts.key": serviceAccounts,
	} {
		if err := os.WriteFile(filepath.Join(p.pki, name), text, 0o600); err != nil {
			return nil, fmt.Errorf("writing the cluster's certificates: %w", err)
		}
	}
	return p, nil
}

func (p *plane) host() string { return "https://" + hostPort(p.apiPort) }

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
	if p.etcd, err = c.group.start(tools.Etcd, p.paths[tools.Etcd], p.etcdArgs(c.dir)...); err != nil {
		return err
	}
	if err := c.await(ctx, p.etcd, healthy(http.DefaultClient, "http://"+hostPort(p.etcdPort)+"/health")); err != nil {
		return err
	}
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
	if err := c.startAPIServer(ctx); err != nil {
		return err
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

func (p *plane) etcdArgs(dir string) []string {
	client, peer := "http://"+hostPort(p.etcdPort), "http://"+hostPort(p.etcdPeerPort)
	return []string{
		"--name=etcd",
		"--data-dir=" + filepath.Join(dir, "etcd"),
		"--listen-client-urls=" + client,
		"--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=etcd=" + peer,
		// The data ends with the cluster, so a power cut loses nothing of worth.
		"--unsafe-no-fsync",
		"--log-level=warn",
	}
}

func (p *plane) apiServerArgs(c *Cluster) []string {
	file := func(name string) string { return filepath.Join(p.pki, name) }
	args := []string{
		"--etcd-servers=http://" + hostPort(p.etcdPort),
		"--bind-address=" + loopback,
		"--advertise-address=" + loopback,
		// A loopback address cannot be an endpoint of the kubernetes Service.
		"--endpoint-reconciler-type=none",
		"--secure-port=" + strconv.Itoa(p.apiPort),
		"--tls-cert-file=" + file("serving.crt"),
		"--tls-private-key-file=" + file("serving.key"),
		"--client-ca-file=" + file("ca.crt"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + file("service-accounts.key"),
		"--service-account-signing-key-file=" + file("service-accounts.key"),
		"--service-cluster-ip-range=" + serviceRange,
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--profiling=false",
	}
	if c.opts.Audit {
		args = append(args,
			"--audit-policy-file="+filepath.Join(c.dir, "audit-policy.yaml"),
			"--audit-log-path="+c.auditLog(),
			"--audit-log-mode=blocking",
			// One file, in MiB: a log that is cut in parts would lose events to its reader.
			"--audit-log-maxsize=100000",
		)
	}
	return args
}

func (p *plane) controllerArgs(dir string, opts Options) []string {
	file := func(name string) string { return filepath.Join(p.pki, name) }
	return []string{
		"--kubeconfig=" + filepath.Join(dir, tools.ControllerManager+".kubeconfig"),
		"--bind-address=" + loopback,
		"--secure-port=" + strconv.Itoa(p.controllerPort),
		"--tls-cert-file=" + file("serving.crt"),
		"--tls-private-key-file=" + file("serving.key"),
		"--leader-elect=false",
		"--use-service-account-credentials=true",
		"--root-ca-file=" + file("ca.crt"),
		"--service-account-private-key-file=" + file("service-accounts.key"),
		"--cluster-signing-cert-file=" + file("ca.crt"),
		"--cluster-signing-key-file=" + file("ca.key"),
		"--allocate-node-cidrs=false",
		"--service-cluster-ip-range=" + serviceRange,
		"--node-monitor-period=" + opts.NodeMonitorPeriod.String(),
		"--node-monitor-grace-period=" + opts.NodeMonitorGracePeriod.String(),
		"--profiling=false",
	}
}

func (p *plane) schedulerArgs(dir string) []string {
	return []string{
		"--kubeconfig=" + filepath.Join(dir, tools.Scheduler+".kubeconfig"),
		"--bind-address=" + loopback,
		"--secure-port=" + strconv.Itoa(p.schedulerPort),
		"--tls-cert-file=" + filepath.Join(p.pki, "serving.crt"),
		"--tls-private-key-file=" + filepath.Join(p.pki, "serving.key"),
		"--leader-elect=false",
		"--profiling=false",
	}
}

// stopGrace is how long the API server may take to end by itself.
const stopGrace = 5 * time.Second

//go:build e2e

package faults

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// quietFor is longer than a kubelet waits between two renewals of its lease, a quarter
// of the lease's 16 s, and than a probe or two.
const quietFor = 15 * time.Second

// unreachable fails the test unless exactly these ways are broken.
func (b *bench) unreachable(t *testing.T, want ...string) {
	t.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(want, b.broken(t.Context())); diff != "" {
		t.Errorf("ways that do not work: -want +got\n%s", diff)
	}
}

// staysReady fails the test unless the worker's kubelet goes on renewing its lease
// and its node and pods stay Ready, for as long as a lost renewal takes to show.
func (b *bench) staysReady(t *testing.T) {
	t.Helper()
	before := b.renewed(t, sick)
	eventually(t, quietFor, func(ctx context.Context) string {
		if why := b.ready(ctx, sick); why != "" {
			t.Fatal(why)
		}
		if b.renewed(t, sick).Equal(before) {
			return "the lease is not renewed"
		}
		return ""
	})
}

func (b *bench) clusterIPBroken(t *testing.T) {
	pid, err := b.podPID(t.Context(), looker, sick)
	if err != nil {
		t.Fatal(err)
	}
	open := b.openConnection(t, pid)
	if err := open(); err != nil {
		t.Fatalf("an open connection before the fault: %v", err)
	}

	_, heal := b.inject(t, "clusterip-broken")
	b.unreachable(t, podToService)
	_, err = dialFrom(t.Context(), pid, "tcp", kubernetesService)
	if want := "dial tcp 10.96.0.1:443: i/o timeout"; err == nil || err.Error() != want {
		t.Errorf("dialling from a pod: %v, want %q", err, want)
	}
	if err := open(); err == nil || !strings.Contains(err.Error(), "Timeout") && !strings.Contains(err.Error(), "deadline") {
		t.Errorf("an open connection: %v, want a time-out", err)
	}
	b.staysReady(t)

	heal()
	b.healthy(t)
}

// openConnection connects to the kubernetes Service from the network of a process,
// and returns a request over that one connection.
func (b *bench) openConnection(t *testing.T, pid int) func() error {
	t.Helper()
	conn, err := dialFrom(t.Context(), pid, "tcp", kubernetesService)
	if err != nil {
		t.Fatal(err)
	}
	dialled := false
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			if dialled {
				return nil, fmt.Errorf("the connection was given up")
			}
			dialled = true
			return conn, nil
		},
	}
	client := &http.Client{Transport: transport, Timeout: reachTimeout}
	t.Cleanup(func() { _ = conn.Close() })
	return func() error {
		response, err := client.Get("https://" + kubernetesService + "/readyz")
		if err != nil {
			return err
		}
		// Only after the whole answer is the connection used again.
		_, err = io.Copy(io.Discard, response.Body)
		return errors.Join(err, response.Body.Close())
	}
}

func (b *bench) podNetworkCut(t *testing.T) {
	_, heal := b.inject(t, "pod-network-cut")
	b.unreachable(t,
		podToService, podToAPIServer, podToPod, podToNeighbour, podToKubelet, podToDNS, podToDNSTCP,
		otherToPod, otherToDNS, hostToPod,
	)
	b.staysReady(t)
	heal()
	b.healthy(t)
}

func (b *bench) dnsBroken(t *testing.T) {
	_, heal := b.inject(t, "dns-broken")
	b.unreachable(t, podToDNS, podToDNSTCP)
	b.staysReady(t)
	heal()
	b.healthy(t)
}

func (b *bench) apiServerUnreachable(t *testing.T) {
	_, heal := b.inject(t, "apiserver-unreachable")
	b.unreachable(t, podToService, podToAPIServer, nodeToAPIServer)
	before := b.renewed(t, sick)
	b.turnsNotReady(t)
	if got := b.renewed(t, sick); !got.Equal(before) {
		t.Errorf("the lease was renewed at %s, after %s", got, before)
	}
	// The other direction works all the time.
	b.unreachable(t, podToService, podToAPIServer, nodeToAPIServer)
	heal()
	b.healthy(t)
}

// turnsNotReady waits until the sick worker's node is NotReady, and sees to it that
// another's is Ready.
func (b *bench) turnsNotReady(t *testing.T) {
	t.Helper()
	eventually(t, time.Minute, func(ctx context.Context) string {
		if why := b.ready(ctx, well); why != "" {
			t.Fatal(why)
		}
		if why := b.ready(ctx, sick); !strings.HasPrefix(why, sick+": Ready is Unknown") {
			return "want Ready Unknown: " + why
		}
		return ""
	})
}

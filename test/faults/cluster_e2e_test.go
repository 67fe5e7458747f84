//go:build e2e

package faults

import (
	"context"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// read reads an object from etcd, past the API server's cache.
func (b *bench) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	_, err := b.client.CoreV1().ConfigMaps(space).Get(ctx, "corefile", metav1.GetOptions{})
	return err
}

// connects opens a connection to the API server.
func (b *bench) connects(t *testing.T) error {
	t.Helper()
	api, err := url.Parse(b.c.Config().Host)
	if err != nil {
		t.Fatal(err)
	}
	return way{network: "tcp", address: net.JoinHostPort(b.c.HostIP(), api.Port())}.try(t.Context())
}

func (b *bench) etcdPaused(t *testing.T) {
	var ips []string
	for _, app := range []string{looker, beside} {
		pod, err := b.pod(t.Context(), app, sick)
		if err != nil {
			t.Fatal(err)
		}
		ips = append(ips, pod.Status.PodIP)
	}
	_, heal := b.inject(t, "etcd-paused")
	if err := b.read(t.Context()); err == nil || !strings.Contains(err.Error(), "deadline") {
		t.Errorf("reading: %v, want no answer", err)
	}
	if err := b.connects(t); err != nil {
		t.Errorf("the API server: %v, want it to take connections", err)
	}
	for _, ip := range ips {
		if err := answersAt(t.Context(), ip); err != nil {
			t.Errorf("a pod: %v", err)
		}
	}
	heal()
	eventually(t, 30*time.Second, func(ctx context.Context) string {
		if err := b.read(ctx); err != nil {
			return err.Error()
		}
		return ""
	})
	b.healthy(t)
}

func (b *bench) apiServerRestarted(t *testing.T) {
	_, heal := b.inject(t, "apiserver-restarted")
	if err := b.connects(t); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("the API server: %v, want connections refused", err)
	}
	heal()
	eventually(t, 30*time.Second, func(ctx context.Context) string {
		if err := b.read(ctx); err != nil {
			return err.Error()
		}
		return ""
	})
	b.healthy(t)
}

func (b *bench) workerDead(t *testing.T) {
	ids, err := b.processesOf(sick)
	if err != nil || len(ids) < 5 {
		t.Fatalf("the worker has %d processes, %v", len(ids), err)
	}
	ip, err := b.c.WorkerIP(sick)
	if err != nil {
		t.Fatal(err)
	}
	pod, err := b.pod(t.Context(), looker, sick)
	if err != nil {
		t.Fatal(err)
	}
	_, heal := b.inject(t, "worker-dead")
	for _, address := range []string{ip + ":10250", pod.Status.PodIP + ":8080"} {
		if err := (way{network: "tcp", address: address}).try(t.Context()); err == nil {
			t.Errorf("%s of a dead worker answers", address)
		}
	}
	if left, err := b.processesOf(sick); err != nil || len(left) > 0 {
		t.Errorf("processes of a dead worker: %v, %v", left, err)
	}
	// By now the API server has stored what was under way.
	before := b.renewed(t, sick)
	b.turnsNotReady(t)
	if got := b.renewed(t, sick); !got.Equal(before) {
		t.Errorf("the lease was renewed at %s, after %s", got, before)
	}
	for _, app := range []string{looker, beside} {
		if err := b.answers(t.Context(), app, well); err != nil {
			t.Errorf("%s on %s: %v", app, well, err)
		}
	}
	heal()
	b.healthy(t)
}

// processesOf lists all processes of a worker, its pods' included.
func (b *bench) processesOf(worker string) ([]int, error) {
	top, err := workerCgroup(Target{Cluster: b.c, Worker: worker}, cgroupMounts, "memory")
	if err != nil {
		return nil, err
	}
	var all []int
	err = eachCgroup(top, func(dir string) error {
		ids, err := processesIn(dir)
		all = append(all, ids...)
		return err
	})
	return all, err
}

func (b *bench) clusterRestarted(t *testing.T) {
	kept := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kept"}}
	if _, err := b.client.CoreV1().ConfigMaps(space).Create(t.Context(), kept, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, heal := b.inject(t, "cluster-restarted")
	if err := b.connects(t); err == nil {
		t.Error("the API server answers")
	}
	for _, worker := range b.c.Workers() {
		if left, err := b.processesOf(worker); err != nil || len(left) > 0 {
			t.Errorf("processes of %s: %v, %v", worker, left, err)
		}
	}
	heal()
	if _, err := b.client.CoreV1().ConfigMaps(space).Get(t.Context(), "kept", metav1.GetOptions{}); err != nil {
		t.Errorf("what was stored before: %v", err)
	}
	b.healthy(t)
}

//go:build e2e

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/test/cluster"
	"github.com/mainstay-dev/mainstay/test/images"
)

// The subtests share one cluster of real workers and leave it as they found it.
func TestRealCluster(t *testing.T) {
	opts := cluster.Options{
		Real: true, Workers: 3, Zones: []string{"a", "b"}, Out: t.Output(),
		Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1500m"), corev1.ResourcePods: resource.MustParse("50")},
	}
	c := start(t, opts)
	s := shared{c: c, client: clientOf(t, c.Config())}
	s.sleepers(t)
	t.Run("workers look like nodes", s.realNodes)
	t.Run("DNS is spread", s.dnsSpread)
	t.Run("pods reach the API server, DNS and each other", s.datapath)
	t.Run("kubectl reads logs and runs commands", s.logsAndExec)
	t.Run("the API server calls a webhook in a pod", s.webhook)
	t.Run("a component is held and released", s.held)
	t.Run("images are loaded", s.loaded)
	t.Run("etcd is paused and resumed", s.etcdPaused)
	t.Run("a worker fails and recovers", s.realFailure)
	t.Run("the cluster is switched off and on", s.switched)
}

// sleepers puts a pod that does nothing on every worker.
func (s shared) sleepers(t *testing.T) {
	t.Helper()
	made, err := images.Build(t.Context(), t.Output(), images.Pause)
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{"app": "sleeper"}
	set := &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "sleeper"},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					TerminationGracePeriodSeconds: new(int64(0)),
					Containers:                    []corev1.Container{{Name: "main", Image: made[images.Pause].Ref}},
				},
			},
		},
	}
	if _, err := s.client.AppsV1().DaemonSets("default").Create(t.Context(), set, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.awaitSleepers(t)
}

// awaitSleepers waits until the pod of every worker runs, and returns their
// addresses by worker.
func (s shared) awaitSleepers(t *testing.T) map[string]string {
	t.Helper()
	addresses := map[string]string{}
	eventually(t, func(ctx context.Context) string {
		pods, err := s.client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{LabelSelector: "app=sleeper"})
		if err != nil {
			return err.Error()
		}
		clear(addresses)
		for _, pod := range pods.Items {
			if podReady(&pod) {
				addresses[pod.Spec.NodeName] = pod.Status.PodIP
			}
		}
		if len(addresses) < 3 {
			return fmt.Sprintf("pods run on %v only", addresses)
		}
		return ""
	})
	return addresses
}

func podReady(pod *corev1.Pod) bool {
	for _, cond := range pod.Status.Conditions {
		if cond.Type == corev1.PodReady {
			return cond.Status == corev1.ConditionTrue
		}
	}
	return false
}

func (s shared) realNodes(t *testing.T) {
	nodes, err := s.client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	type look struct {
		Zone, Address, CPU string
		Pods               int64
	}
	got := map[string]look{}
	for _, node := range nodes.Items {
		l := look{Zone: node.Labels[corev1.LabelTopologyZone], CPU: node.Status.Allocatable.Cpu().String(), Pods: node.Status.Allocatable.Pods().Value()}
		for _, address := range node.Status.Addresses {
			if address.Type == corev1.NodeInternalIP {
				l.Address = address.Address
			}
		}
		got[node.Name] = l
		if !strings.HasPrefix(node.Status.NodeInfo.ContainerRuntimeVersion, "containerd://") {
			t.Errorf("%s: container runtime %q", node.Name, node.Status.NodeInfo.ContainerRuntimeVersion)
		}
	}
	want := map[string]look{}
	for i, name := range s.c.Workers() {
		address, err := s.c.WorkerIP(name)
		if err != nil {
			t.Fatal(err)
		}
		want[name] = look{Zone: []string{"a", "b", "a"}[i], Address: address, CPU: "1500m", Pods: 50}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("nodes: -want +got\n%s", diff)
	}
}

// dnsPods returns the addresses of CoreDNS's pods by worker.
func (s shared) dnsPods(t *testing.T) map[string]string {
	t.Helper()
	pods, err := s.client.CoreV1().Pods("kube-system").List(t.Context(), metav1.ListOptions{LabelSelector: "k8s-app=kube-dns"})
	if err != nil {
		t.Fatal(err)
	}
	addresses := map[string]string{}
	for _, pod := range pods.Items {
		addresses[pod.Spec.NodeName] = pod.Status.PodIP
	}
	return addresses
}

func (s shared) dnsSpread(t *testing.T) {
	if got := s.dnsPods(t); len(got) != 2 {
		t.Errorf("CoreDNS runs on %v, want two workers", got)
	}
}

// envProbe makes TestProbe check what its value says.
const envProbe = "MAINSTAY_TEST_PROBE"

// TestProbe is not a test of its own: it runs inside the network of a pod.
func TestProbe(t *testing.T) {
	probe := os.Getenv(envProbe)
	if probe == "" {
		t.Skip("runs as the child of other tests")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	kind, target, _ := strings.Cut(probe, "=")
	switch kind {
	case "connect":
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", target)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	case "lookup":
		resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, "10.96.0.10:53")
		}}
		addresses, err := resolver.LookupHost(ctx, target)
		if diff := cmp.Diff([]string{"10.96.0.1"}, addresses); err != nil || diff != "" {
			t.Fatalf("%v: -want +got\n%s", err, diff)
		}
	default:
		t.Fatalf("no probe is named %q", kind)
	}
}

// probe runs TestProbe in the network of the pod with that address.
func (s shared) probe(t *testing.T, worker, address, probe string) error {
	t.Helper()
	pid, err := s.podPID(t, worker, address)
	if err != nil {
		return err
	}
	cmd, err := s.c.WorkerCommand(t.Context(), worker, "nsenter", "--target", pid, "--net", "--", os.Args[0], "-test.run=^TestProbe$", "-test.v")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), envProbe+"="+probe)
	out, err := cmd.CombinedOutput()
	if err == nil && !strings.Contains(string(out), "--- PASS: TestProbe") {
		err = errors.New("the probe did not run")
	}
	if err != nil {
		return fmt.Errorf("%s from a pod of %s: %w\n%s", probe, worker, err, out)
	}
	return nil
}

// podPID returns the id, inside the worker, of a process in the network of the pod
// with that address.
func (s shared) podPID(t *testing.T, worker, address string) (string, error) {
	t.Helper()
	script := `for p in /proc/[0-9]*; do grep -qw "$1" $p/net/fib_trie 2>/dev/null || continue
		[ "$(readlink $p/ns/net)" = "$(readlink /proc/1/ns/net)" ] || { echo ${p#/proc/}; exit 0; }; done; exit 1`
	cmd, err := s.c.WorkerCommand(t.Context(), worker, "sh", "-c", script, "find", address)
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("no process of %s has the address %s: %w", worker, address, err)
	}
	return strings.TrimSpace(string(out)), nil
}

func (s shared) datapath(t *testing.T) {
	// CoreDNS runs on two of the workers: nothing has waited for kube-proxy on the third.
	s.eventuallyProbe(t, "lookup=kubernetes.default.svc.cluster.local")
	sleepers, dns := s.awaitSleepers(t), s.dnsPods(t)
	for _, worker := range s.c.Workers() {
		probes := []string{"connect=10.96.0.1:443", "lookup=kubernetes.default.svc.cluster.local", "connect=" + net.JoinHostPort(s.c.HostIP(), "6443")}
		for other, address := range dns {
			if other != worker {
				probes = append(probes, "connect="+net.JoinHostPort(address, "8080"))
			}
		}
		for _, probe := range probes {
			if err := s.probe(t, worker, sleepers[worker], probe); err != nil {
				t.Error(err)
			}
		}
	}
	// The probe tells a port that nobody listens on.
	if err := s.probe(t, "worker-1", sleepers["worker-1"], "connect=10.96.0.1:444"); err == nil {
		t.Error("a port that the Service does not have was reached")
	}
	// This machine reaches pods, and their port.
	for _, address := range dns {
		resp, err := http.Get("http://" + net.JoinHostPort(address, "8080") + "/health")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("CoreDNS says %s", resp.Status)
		}
	}
}

func (s shared) logsAndExec(t *testing.T) {
	logs, err := s.c.Kubectl(t.Context(), "--namespace", "kube-system", "logs", "deployment/coredns")
	if err != nil || !strings.Contains(logs, "CoreDNS-") {
		t.Errorf("logs of CoreDNS: %v\n%s", err, logs)
	}
	out, err := s.c.Kubectl(t.Context(), "--namespace", "kube-system", "exec", "deployment/coredns", "--", "/coredns", "-version")
	if err != nil || !strings.Contains(out, "CoreDNS-") {
		t.Errorf("CoreDNS's version: %v\n%s", err, out)
	}
}

func (s shared) held(t *testing.T) {
	ctx, worker := t.Context(), "worker-2"
	before := s.awaitSleepers(t)[worker]
	pod, err := s.podPID(t, worker, before)
	if err != nil {
		t.Fatal(err)
	}
	for _, component := range []string{"kubelet", "containerd", "kube-proxy"} {
		old := s.running(t, worker, component)
		if old == "" {
			t.Fatalf("%s does not run before it is held", component)
		}
		if err := s.c.HoldComponent(ctx, worker, component); err != nil {
			t.Fatal(err)
		}
		if got := s.running(t, worker, component); got != "" {
			t.Errorf("%s runs as %s while it is held", component, got)
		}
		if got, err := s.podPID(t, worker, before); got != pod {
			t.Errorf("while %s is held: the pod is process %q, want %s: %v", component, got, pod, err)
		}
		if err := s.c.ReleaseComponent(ctx, worker, component); err != nil {
			t.Fatal(err)
		}
		if got := s.running(t, worker, component); got == "" || got == old {
			t.Errorf("%s is process %q after its release, it was %s", component, got, old)
		}
	}
	if err := s.c.HoldComponent(ctx, worker, "etcd"); err == nil || !strings.Contains(err.Error(), `no component is named "etcd"`) {
		t.Errorf("holding etcd of a worker: %v", err)
	}
	eventually(t, func(ctx context.Context) string {
		if got := readiness(ctx, s.client, worker); got != "True" {
			return "Ready is " + got
		}
		return ""
	})
	if got := s.awaitSleepers(t)[worker]; got != before {
		t.Errorf("the pod has the address %s, want %s as before", got, before)
	}
}

// running returns the process ids of a component, as the worker has them.
func (s shared) running(t *testing.T, worker, component string) string {
	t.Helper()
	script := `for p in /proc/[0-9]*; do [ "$(cat $p/comm 2>/dev/null)" = "$1" ] && echo ${p#/proc/}; done; exit 0`
	cmd, err := s.c.WorkerCommand(t.Context(), worker, "sh", "-c", script, "find", component)
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func (s shared) loaded(t *testing.T) {
	made, err := images.Build(t.Context(), t.Output(), images.Mainstay)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.c.LoadImages(t.Context(), made[images.Mainstay].Archive); err != nil {
		t.Fatal(err)
	}
	for _, worker := range s.c.Workers() {
		cmd, err := s.c.WorkerCommand(t.Context(), worker, "ctr", "--namespace", "k8s.io", "images", "list", "--quiet")
		if err != nil {
			t.Fatal(err)
		}
		if out, err := cmd.Output(); err != nil || !strings.Contains(string(out), made[images.Mainstay].Ref) {
			t.Errorf("images of %s: %v\n%s", worker, err, out)
		}
	}
	if err := s.c.LoadImages(t.Context(), "/nowhere.tar"); err == nil || !strings.Contains(err.Error(), "/nowhere.tar") {
		t.Errorf("loading an archive that is not there: %v", err)
	}
}

func (s shared) etcdPaused(t *testing.T) {
	if err := s.c.PauseEtcd(); err != nil {
		t.Fatal(err)
	}
	write := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "paused-"}}
		_, err := s.client.CoreV1().ConfigMaps("default").Create(ctx, config, metav1.CreateOptions{})
		return err
	}
	if err := write(); err == nil {
		t.Error("written while etcd was paused")
	}
	if err := s.c.ResumeEtcd(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(context.Context) string {
		if err := write(); err != nil {
			return err.Error()
		}
		return ""
	})
}

func (s shared) realFailure(t *testing.T) {
	name := "worker-3"
	link, err := s.c.WorkerLink(name)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := s.c.WorkerPID(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := net.InterfaceByName(link); err != nil {
		t.Errorf("the link of a worker that is on: %v", err)
	}
	if err := s.c.FailWorker(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/" + strconv.Itoa(pid)); !os.IsNotExist(err) {
		t.Errorf("the init process of a failed worker is left: %v", err)
	}
	if _, err := s.c.WorkerPID(name); err == nil || !strings.Contains(err.Error(), "worker-3 is off") {
		t.Errorf("the init process of a failed worker: %v", err)
	}
	eventually(t, func(context.Context) string {
		if _, err := net.InterfaceByName(link); err == nil {
			return "its link is left"
		}
		return ""
	})
	if err := s.c.FailWorker(t.Context(), name); err != nil {
		t.Errorf("failing it twice: %v", err)
	}
	began := time.Now()
	if err := s.c.RecoverWorker(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	t.Logf("Ready %s after power-on", time.Since(began).Round(10*time.Millisecond))
	s.eventuallyProbe(t, "connect=10.96.0.1:443")
}

// eventuallyProbe waits until a pod of every worker passes the probe. After a
// power-on the API has the pods' former addresses for a moment.
func (s shared) eventuallyProbe(t *testing.T, probe string) {
	t.Helper()
	eventually(t, func(context.Context) string {
		sleepers := s.awaitSleepers(t)
		for _, worker := range s.c.Workers() {
			if err := s.probe(t, worker, sleepers[worker], probe); err != nil {
				return err.Error()
			}
		}
		return ""
	})
}

func (s shared) switched(t *testing.T) {
	kept := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kept"}}
	if _, err := s.client.CoreV1().ConfigMaps("default").Create(t.Context(), kept, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := s.c.PowerOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := processesOf(t, s.c.Dir()); got > 2 {
		t.Errorf("%d processes while the cluster is off, want anchor and watchdog", got)
	}
	if err := s.c.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Half of it off, as after a PowerOn that was interrupted.
	if err := s.c.FailWorker(t.Context(), "worker-1"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := s.c.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("on again after %s", time.Since(began).Round(10*time.Millisecond))
	if _, err := s.client.CoreV1().ConfigMaps("default").Get(t.Context(), "kept", metav1.GetOptions{}); err != nil {
		t.Errorf("what was written before: %v", err)
	}
	for _, worker := range s.c.Workers() {
		if got := readiness(t.Context(), s.client, worker); got != "True" {
			t.Errorf("%s: Ready is %s", worker, got)
		}
	}
	s.eventuallyProbe(t, "lookup=kubernetes.default.svc.cluster.local")
}

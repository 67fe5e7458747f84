//go:build e2e

package faults

import (
	"context"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"

	"github.com/mainstay-dev/mainstay/test/cluster"
	"github.com/mainstay-dev/mainstay/test/images"
)

const (
	sick  = "worker-1" // the worker that the faults are aimed at
	well  = "worker-2" // one that they must leave alone
	space = "faults"   // the namespace of the pods below

	// Two daemon sets give each worker two pods of CoreDNS: one that looks and one
	// that is looked at, paused and killed. Daemons' pods stay through a drain and on
	// a node that is NotReady.
	looker  = "looker"
	beside  = "beside"
	healthz = 8080
	// memoryLimit is what each may use, in bytes.
	memoryLimit = 128 << 20
)

// corefile has CoreDNS answer every question itself.
const corefile = `.:53 {
  whoami
  health :8080
}
`

// bench is the cluster that the subtests share. Each leaves it as it found it.
type bench struct {
	c      *cluster.Cluster
	client kubernetes.Interface
	image  string
}

func TestFaults(t *testing.T) {
	b := startBench(t)
	b.healthy(t)

	t.Run("clusterip-broken", b.clusterIPBroken)
	t.Run("pod-network-cut", b.podNetworkCut)
	t.Run("dns-broken", b.dnsBroken)
	t.Run("apiserver-unreachable", b.apiServerUnreachable)
	t.Run("process-paused", b.processPaused)
	t.Run("oom-killed", b.oomKilled)
	t.Run("worker-drained", b.workerDrained)
	t.Run("worker-slow", b.workerSlow)
	t.Run("kubelet-dead", b.kubeletDead)
	t.Run("etcd-paused", b.etcdPaused)
	t.Run("apiserver-restarted", b.apiServerRestarted)
	t.Run("worker-dead", b.workerDead)
	t.Run("cluster-restarted", b.clusterRestarted)
}

func startBench(t *testing.T) *bench {
	t.Helper()
	built, err := images.Build(t.Context(), t.Output(), images.CoreDNS)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	c, err := cluster.Start(t.Context(), cluster.Options{
		Real: true, Workers: 3, Out: t.Output(),
		NodeMonitorGracePeriod: 20 * time.Second,
		NodeMonitorPeriod:      time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Errorf("stopping the cluster: %v", err)
		}
	})
	t.Logf("3 workers Ready after %s", time.Since(began).Round(time.Millisecond))
	client, err := kubernetes.NewForConfig(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{c: c, client: client, image: built[images.CoreDNS].Ref}
	b.deploy(t)
	return b
}

// deploy creates the namespace and both daemon sets.
func (b *bench) deploy(t *testing.T) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: space}}
	if _, err := b.client.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "corefile"}, Data: map[string]string{"Corefile": corefile}}
	if _, err := b.client.CoreV1().ConfigMaps(space).Create(t.Context(), config, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, app := range []string{looker, beside} {
		set := &appsv1.DaemonSet{
			ObjectMeta: metav1.ObjectMeta{Name: app},
			Spec:       appsv1.DaemonSetSpec{Selector: selecting(app), Template: b.template(app)},
		}
		if _, err := b.client.AppsV1().DaemonSets(space).Create(t.Context(), set, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

func selecting(app string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
}

func (b *bench) template(app string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": app}},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken:  new(false),
			DNSPolicy:                     corev1.DNSDefault,
			TerminationGracePeriodSeconds: new(int64(1)),
			Containers: []corev1.Container{{
				Name:            "main",
				Image:           b.image,
				ImagePullPolicy: corev1.PullNever,
				Args:            []string{"-conf", "/etc/coredns/Corefile"},
				SecurityContext: &corev1.SecurityContext{RunAsUser: new(int64(0))},
				// As Flux's controllers have: their CPU limits are larger than what a slow
				// worker has.
				Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{
					corev1.ResourceCPU: resource.MustParse("500m"), corev1.ResourceMemory: *resource.NewQuantity(memoryLimit, resource.BinarySI),
				}, Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1m")}},
				VolumeMounts: []corev1.VolumeMount{{Name: "corefile", MountPath: "/etc/coredns"}},
				ReadinessProbe: &corev1.Probe{
					ProbeHandler:     corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/health", Port: intstr.FromInt32(healthz)}},
					PeriodSeconds:    1,
					TimeoutSeconds:   1,
					FailureThreshold: 3,
				},
			}},
			Volumes: []corev1.Volume{{Name: "corefile", VolumeSource: corev1.VolumeSource{
				ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "corefile"}},
			}}},
		},
	}
}

// inject brings a fault about twice, which must be as good as once, and heals it
// when the test is over, whatever becomes of the test.
func (b *bench) inject(t *testing.T, name string) (target Target, heal func()) {
	t.Helper()
	f, err := Named(name)
	if err != nil {
		t.Fatal(err)
	}
	target = Target{Cluster: b.c, Worker: sick, Namespace: space, App: beside}
	healed := false
	heal = func() {
		t.Helper()
		healed = true
		began := time.Now()
		for range 2 {
			if err := f.Heal(t.Context(), target); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("healed in %s", time.Since(began).Round(time.Millisecond))
	}
	t.Cleanup(func() {
		if healed {
			return
		}
		if err := f.Heal(context.WithoutCancel(t.Context()), target); err != nil {
			t.Error(err)
		}
	})
	began := time.Now()
	for range 2 {
		if err := f.Inject(t.Context(), target); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("in force after %s", time.Since(began).Round(time.Millisecond))
	return target, heal
}

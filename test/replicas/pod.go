package replicas

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/mainstay-dev/mainstay/test/cluster"
)

// join makes the Pod that a replica is, with an address that no other one of the Set has.
func (s *Set) join(ctx context.Context, r *Replica, addr string) error {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: Namespace, Name: r.pod,
			Labels: map[string]string{"app.kubernetes.io/name": "mainstay", "app.kubernetes.io/component": "controller"},
		},
		Spec: corev1.PodSpec{
			SchedulerName:      "nobody", // its process runs here
			ServiceAccountName: "mainstay",
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   new(true),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "mainstay", Image: "mainstay",
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false),
					Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
	pods := s.client.CoreV1().Pods(Namespace)
	made, err := pods.Create(ctx, pod, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("create pod %s: %w", r.pod, err)
	}
	made.Status.Phase, made.Status.PodIP = corev1.PodRunning, addr
	if _, err := pods.UpdateStatus(ctx, made, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("give pod %s its address: %w", r.pod, err)
	}
	return nil
}

// connect gives a replica a line of its own to the API server, and returns a kubeconfig
// that goes by it.
func (s *Set) connect(r *Replica) (kubeconfig string, err error) {
	server, err := url.Parse(s.config.Host)
	if err != nil {
		return "", fmt.Errorf("find the API server: %w", err)
	}
	if r.line, err = newLine(func() (string, bool) { return server.Host, true }); err != nil {
		return "", err
	}
	cfg := rest.CopyConfig(s.config)
	cfg.Host = "https://" + r.line.Addr()
	kubeconfig = filepath.Join(s.opts.Cluster.Dir(), r.pod+".kubeconfig")
	return kubeconfig, cluster.WriteKubeconfig(kubeconfig, cfg)
}

// podAddress is that of the nth Pod of a Set. 127.0.0.1 is everybody's.
func podAddress(n int) string { return "127.0.0." + strconv.Itoa(n+2) }

//go:build e2e

package faults

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// deployMovers creates three pods that nothing ties to a worker, one on each.
func (b *bench) deployMovers(t *testing.T) {
	t.Helper()
	template := b.template("mover")
	template.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
		MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: selecting("mover"),
	}}
	template.Spec.Volumes = append(template.Spec.Volumes, corev1.Volume{
		Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}},
	})
	_, err := b.client.AppsV1().Deployments(space).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "mover"},
		Spec:       appsv1.DeploymentSpec{Replicas: new(int32(3)), Selector: selecting("mover"), Template: template},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, func(ctx context.Context) string { return b.movers(ctx, true) })
}

// movers says what is wrong: all three are to be available, and some of them on the
// sick worker or none.
func (b *bench) movers(ctx context.Context, onSick bool) string {
	deployment, err := b.client.AppsV1().Deployments(space).Get(ctx, "mover", metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	if deployment.Status.AvailableReplicas != 3 {
		return fmt.Sprintf("%d replicas available, want 3", deployment.Status.AvailableReplicas)
	}
	pods, err := podsOf(ctx, b.client, Target{Namespace: space, App: "mover", Worker: sick})
	if err != nil {
		return err.Error()
	}
	if (len(pods) > 0) != onSick {
		return fmt.Sprintf("%d replicas on %s", len(pods), sick)
	}
	return ""
}

// staysReadyCordoned is staysReady for a worker that takes no new pods.
func (b *bench) staysReadyCordoned(t *testing.T) {
	t.Helper()
	before := b.renewed(t, sick)
	eventually(t, quietFor, func(ctx context.Context) string {
		if why := b.ready(ctx, sick); !strings.HasSuffix(why, "is cordoned") {
			t.Fatalf("%q, want it cordoned and else Ready", why)
		}
		if b.renewed(t, sick).Equal(before) {
			return "the lease is not renewed"
		}
		return ""
	})
}

package cluster

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

//go:embed manifests/coredns.yaml
var corednsManifest string

// startDNS gives the cluster its DNS, CoreDNS as pods, and waits until every replica
// is available.
func (c *Cluster) startDNS(ctx context.Context) error {
	text := strings.NewReplacer("IMAGE", c.real.dns, "ADDRESS", dnsServiceIP).Replace(corednsManifest)
	path := filepath.Join(c.dir, "coredns.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return fmt.Errorf("writing CoreDNS's manifest: %w", err)
	}
	if _, err := c.Kubectl(ctx, "apply", "--server-side", "--filename", path); err != nil {
		return fmt.Errorf("applying CoreDNS: %w", err)
	}
	return c.await(ctx, c.workers.list[0].proc, func(ctx context.Context) error {
		got, err := c.client.AppsV1().Deployments(metav1.NamespaceSystem).Get(ctx, "coredns", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if want := *got.Spec.Replicas; got.Status.AvailableReplicas < want {
			return fmt.Errorf("%d of %d replicas of CoreDNS are available", got.Status.AvailableReplicas, want)
		}
		return nil
	})
}

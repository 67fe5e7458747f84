package main

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/test/gitserver"
	"github.com/mainstay-dev/mainstay/test/stall"
)

// Names in the cluster and in Git of the two ways from a commit to a ConfigMap. Each
// has a repository of its own, so that commits to one leave the other alone.
const (
	byKustomize = "stall-kustomize"
	byHelm      = "stall-helm"
)

// path is a way from a commit to the cluster.
type path struct {
	delivery delivery
	meter    stall.Options
}

// path is the way that a fault of a controller is measured on: through it.
func (b *bed) path(controller string) path {
	if controller == "helm-controller" {
		return path{
			delivery: delivery{apiVersion: "helm.toolkit.fluxcd.io/v2", kind: "HelmRelease", name: byHelm},
			meter: stall.Options{
				Config: b.cluster.Config(), Repo: b.helm, Path: "chart/templates/meter.yaml", Name: byHelm,
			},
		}
	}
	return path{
		delivery: delivery{apiVersion: "kustomize.toolkit.fluxcd.io/v1", kind: "Kustomization", name: byKustomize},
		meter: stall.Options{
			Config: b.cluster.Config(), Repo: b.kustomize, Path: "objects/meter.yaml", Name: byKustomize,
		},
	}
}

// startDelivery makes both repositories and has Flux follow them, and waits until a
// commit to each is live.
func (b *bed) startDelivery(ctx context.Context) error {
	var err error
	if b.kustomize, err = b.repository(ctx, byKustomize, map[string][]byte{
		"objects/first.yaml": []byte("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + byKustomize + "-first\n  namespace: default\n"),
	}); err != nil {
		return err
	}
	if b.helm, err = b.repository(ctx, byHelm, map[string][]byte{
		"chart/Chart.yaml": []byte("apiVersion: v2\nname: " + byHelm + "\nversion: 0.1.0\n"),
		// A chart without templates is an empty release.
		"chart/templates/first.yaml": []byte("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + byHelm + "-first\n"),
	}); err != nil {
		return err
	}
	for _, object := range []map[string]any{
		gitRepository(byKustomize, b.kustomize),
		{
			"apiVersion": "kustomize.toolkit.fluxcd.io/v1",
			"kind":       "Kustomization",
			"metadata":   map[string]any{"name": byKustomize},
			"spec": map[string]any{
				"interval": "10m", "retryInterval": "1m", "timeout": "1m", "path": "./objects", "prune": true,
				"sourceRef": map[string]any{"kind": "GitRepository", "name": byKustomize},
			},
		},
		gitRepository(byHelm, b.helm),
		{
			"apiVersion": "helm.toolkit.fluxcd.io/v2",
			"kind":       "HelmRelease",
			"metadata":   map[string]any{"name": byHelm},
			"spec": map[string]any{
				"interval": "10m", "timeout": "1m", "targetNamespace": "default", "maxHistory": int64(2),
				"install": map[string]any{"remediation": map[string]any{"retries": int64(-1)}},
				"upgrade": map[string]any{"remediation": map[string]any{"retries": int64(-1)}},
				"chart": map[string]any{"spec": map[string]any{
					// A new chart for each commit, whatever version it says.
					"chart": "./chart", "reconcileStrategy": "Revision", "interval": "10m",
					"sourceRef": map[string]any{"kind": "GitRepository", "name": byHelm},
				}},
			},
		},
	} {
		u := &unstructured.Unstructured{Object: object}
		u.SetNamespace(fluxNamespace)
		if err := b.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("drill"), client.ForceOwnership); err != nil {
			return fmt.Errorf("applying %s %s: %w", u.GetKind(), u.GetName(), err)
		}
	}
	for _, controller := range []string{"kustomize-controller", "helm-controller"} {
		if err := b.delivers(ctx, controller); err != nil {
			return err
		}
	}
	return nil
}

func (b *bed) repository(ctx context.Context, name string, files map[string][]byte) (*gitserver.Repo, error) {
	repo, err := b.git.Create(ctx, name)
	if err != nil {
		return nil, err
	}
	_, err = repo.Commit(ctx, "Begin", files)
	return repo, err
}

func gitRepository(name string, repo *gitserver.Repo) map[string]any {
	return map[string]any{
		"apiVersion": "source.toolkit.fluxcd.io/v1",
		"kind":       "GitRepository",
		"metadata":   map[string]any{"name": name},
		"spec": map[string]any{
			"interval": poll.String(), "url": repo.URL(),
			"ref": map[string]any{"branch": repo.Branch()},
		},
	}
}

// delivers waits until a commit is live that is made now on the path of a controller.
func (b *bed) delivers(ctx context.Context, controller string) error {
	p := b.path(controller)
	meter, err := stall.Start(ctx, p.meter)
	if err != nil {
		return err
	}
	defer meter.Stop()
	if err := meter.AwaitLive(ctx); err != nil {
		return fmt.Errorf("delivering by %s %s: %w", p.delivery.kind, p.delivery.name, err)
	}
	return nil
}

// poll is how often Flux looks at Git.
const poll = 2 * time.Second

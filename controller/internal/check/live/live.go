package live

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

const (
	// pageSize is how many objects one request asks for.
	pageSize = 500
	// maxObjects of one resource.
	maxObjects = 100_000
	// qps and burst of the requests: a check is short, and the API server
	// has its own limits.
	qps, burst = 50, 100
)

// Cluster is a running cluster.
type Cluster struct {
	discovery discovery.DiscoveryInterface
	dynamic   dynamic.Interface
}

// New returns the cluster of a configuration, which is not changed.
func New(cfg *rest.Config) (*Cluster, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = qps, burst
	asked, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("make a client for %s: %w", cfg.Host, err)
	}
	read, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("make a client for %s: %w", cfg.Host, err)
	}
	return &Cluster{discovery: asked, dynamic: read}, nil
}

// Resources that the cluster serves and that can be listed. A group that does
// not answer is an error: what is not looked at must not pass for good.
func (c *Cluster) Resources(context.Context) ([]rule.APIResource, error) {
	groups, lists, err := c.discovery.ServerGroupsAndResources()
	if err != nil {
		return nil, fmt.Errorf("discover what the cluster serves: %w", err)
	}
	preferred := map[string]bool{}
	for _, group := range groups {
		preferred[group.PreferredVersion.GroupVersion] = true
	}
	var out []rule.APIResource
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, fmt.Errorf("discover what the cluster serves: %w", err)
		}
		for _, r := range list.APIResources {
			if slices.Contains(r.Verbs, "list") {
				out = append(out, rule.APIResource{
					GroupVersionResource: gv.WithResource(r.Name), Kind: r.Kind,
					Namespaced: r.Namespaced, Preferred: preferred[list.GroupVersion],
				})
			}
		}
	}
	return out, nil
}

// List all objects of a resource, page by page.
func (c *Cluster) List(ctx context.Context, gvr schema.GroupVersionResource) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	options := metav1.ListOptions{Limit: pageSize}
	for {
		page, err := c.dynamic.Resource(gvr).List(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", gvr.GroupResource(), err)
		}
		for i := range page.Items {
			out = append(out, &page.Items[i])
		}
		if len(out) > maxObjects {
			return nil, fmt.Errorf("list %s: there are more than %d", gvr.GroupResource(), maxObjects)
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return out, nil
		}
	}
}

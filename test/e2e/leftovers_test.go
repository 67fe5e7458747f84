//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/test/e2e/gitops"
)

// goneWithin is how long a removal may take. Pods have 25 s to end, and their
// namespace ends after them.
const goneWithin = 90 * time.Second

// nothingLeft waits until no object of any kind, ours or not, is called after Mainstay,
// labelled so, or in its namespace.
func (s *suite) nothingLeft(t *testing.T) {
	t.Helper()
	cfg := s.cluster.Config()
	// One look asks for each kind that is served.
	cfg.QPS = -1
	// Some of them are deprecated.
	cfg.WarningHandler = rest.NoWarnings{}
	served, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := metadata.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, goneWithin, "nothing of Mainstay is left", func(ctx context.Context) (bool, string) {
		// As long as the Namespace is there, the hundred requests below need not be made: its
		// conditions name what keeps it.
		var namespace corev1.Namespace
		if err := s.client.Get(ctx, types.NamespacedName{Name: gitops.Namespace}, &namespace); err == nil {
			return false, fmt.Sprintf("left: Namespace %s: %+v", gitops.Namespace, namespace.Status.Conditions)
		}
		left, err := leftovers(ctx, served, objects)
		if err != nil {
			return false, err.Error()
		}
		return len(left) == 0, fmt.Sprintf("left: %s", strings.Join(left, ", "))
	})
}

func leftovers(ctx context.Context, served discovery.DiscoveryInterface, objects metadata.Interface) ([]string, error) {
	lists, err := served.ServerPreferredResources()
	if err != nil {
		return nil, err
	}
	var left []string
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, resource := range list.APIResources {
			// Events tell what was, and go by themselves.
			if !slices.Contains(resource.Verbs, "list") || resource.Name == "events" {
				continue
			}
			found, err := objects.Resource(version.WithResource(resource.Name)).List(ctx, metav1.ListOptions{})
			if err != nil {
				return nil, fmt.Errorf("listing %s: %w", resource.Name, err)
			}
			for i := range found.Items {
				if ours(&found.Items[i]) {
					left = append(left, resource.Name+"/"+client.ObjectKeyFromObject(&found.Items[i]).String())
				}
			}
		}
	}
	return left, nil
}

// ours tells whether an object has to do with Mainstay, by all that shows.
func ours(object *metav1.PartialObjectMetadata) bool {
	shows := fmt.Sprint(object.Name, object.Labels, object.Finalizers)
	return object.Namespace == gitops.Namespace || strings.Contains(shows, "mainstay")
}

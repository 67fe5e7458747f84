//go:build e2e

package e2e

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/test/cluster/tools"
)

// failure is what is said of an instance that cannot be built.
type failure struct{ operator, render string }

// failures are the instances of the matrix that neither can build.
func failures() map[string]failure {
	return map[string]failure{
		"2.6-fails-component": {"source-watcher", "the distribution of Flux v2.6.4 has no source-watcher"},
		"2.9-fails-no-target": {"no matches for Id Deployment.v1.apps/helm-controler", "the patch names apps/v1/Deployment helm-controler, which is not there"},
		"2.9-fails-pointer":   {"doc is missing path: /spec/nope/x", "doc is missing path: /spec/nope/x"},
		"2.9-fails-version":   {"no match found for semver: 2.99.x", `the distribution has no version "2.99.x"`},
	}
}

// TestRenderIsWhatFluxOperatorApplies gives the real flux-operator one FluxInstance of
// testdata/render after the other, and compares what it applies with what mainstay
// render prints of the same file, over the same distribution: the objects, and of each
// object the fields that flux-operator owns and their values. No controller of Flux runs.
//
// Versions go up through the matrix: a CRD does not take back a version that objects
// are stored in.
func TestRenderIsWhatFluxOperatorApplies(t *testing.T) {
	t.Parallel()
	root, err := tools.Root()
	if err != nil {
		t.Fatal(err)
	}
	r := newRenderer(t, root)
	o := startOperator(t, root)
	files, err := filepath.Glob(filepath.Join(root, "test", "e2e", "testdata", "render", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	fails, met := failures(), map[string]int{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			instance := &unstructured.Unstructured{}
			if err := yaml.Unmarshal(text, &instance.Object); err != nil {
				t.Fatal(err)
			}
			said := o.reconcile(t, instance)
			objects, refused := r.render(t, file)
			if want, ok := fails[name]; ok {
				if !strings.Contains(said, want.operator) || !strings.Contains(refused, want.render) {
					t.Errorf("flux-operator says: %s\nrender says: %s\nwant %q", said, refused, want)
				}
				return
			}
			if said != "" || refused != "" {
				t.Fatalf("flux-operator says: %s\nrender says: %s", said, refused)
			}
			fields := o.compare(t, objects, met)
			t.Logf("%d objects, %d fields, %.1f s", len(objects), fields, time.Since(began).Seconds())
		})
		delete(fails, name)
	}
	if len(fails) > 0 {
		t.Errorf("the matrix has no %v", slices.Sorted(maps.Keys(fails)))
	}
	for kind, field := range leftOut() {
		if met[kind] == 0 {
			t.Errorf("flux-operator never sets %s of a %s, which is left out of the comparison", field, kind)
		}
	}
}

// compare compares what is applied with a render of the same instance. It returns how
// many fields flux-operator owns, and counts in met what it left out.
func (o *operatorRun) compare(t *testing.T, objects map[string]*unstructured.Unstructured, met map[string]int) int {
	t.Helper()
	ctx := t.Context()
	inventory := o.inventory(t)
	if diff := cmp.Diff(inventory, slices.Sorted(maps.Keys(objects))); diff != "" {
		t.Errorf("objects (-flux-operator +render):\n%s", diff)
	}
	total := 0
	for _, id := range inventory {
		rendered, ok := objects[id]
		if !ok {
			continue
		}
		live, err := o.read(ctx, rendered)
		if err != nil {
			t.Fatal(err)
		}
		would, err := o.wouldApply(ctx, rendered)
		if err != nil {
			t.Errorf("%s: applying the render: %v", id, err)
			continue
		}
		applied, err := ownedBy(live, operatorManager)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ownedBy(would, operatorManager)
		if err != nil {
			t.Fatal(err)
		}
		total += len(applied)
		if len(applied) == 0 {
			t.Errorf("%s: %s owns no field of it: %v", id, operatorManager, live.GetManagedFields())
		}
		if field, ok := leftOut()[live.GetKind()]; ok && !slices.Contains(again, field) {
			if i := slices.Index(applied, field); i >= 0 {
				applied = slices.Delete(applied, i, i+1)
				met[live.GetKind()]++
			}
		}
		if diff := cmp.Diff(applied, again); diff != "" {
			t.Errorf("%s: fields (-flux-operator +render):\n%s", id, diff)
		}
		if diff := cmp.Diff(content(live), content(would)); diff != "" {
			t.Errorf("%s: values (-flux-operator +render):\n%s", id, diff)
		}
	}
	return total
}

// read reads the object of that kind and name.
func (o *operatorRun) read(ctx context.Context, like *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	return get(ctx, o.client, like.GetAPIVersion(), like.GetKind(), like.GetNamespace(), like.GetName())
}

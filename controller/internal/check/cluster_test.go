package check_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// running is a cluster that holds what a text says.
type running struct {
	objects []*unstructured.Unstructured
	err     error
	// listed counts the lists of each resource.
	listed map[string]int
}

var _ check.Live = (*running)(nil)

func (r *running) Resources(context.Context) ([]rule.APIResource, error) {
	resource := func(group, version, name, kind string, namespaced bool) rule.APIResource {
		return rule.APIResource{
			GroupVersionResource: schema.GroupVersionResource{Group: group, Version: version, Resource: name},
			Kind:                 kind, Namespaced: namespaced, Preferred: true,
		}
	}
	return []rule.APIResource{
		resource("apps", "v1", "deployments", "Deployment", true),
		resource("coordination.k8s.io", "v1", "leases", "Lease", true),
		resource("", "v1", "namespaces", "Namespace", false),
		resource("mainstay.dev", "v1alpha1", "clusterrules", "ClusterRule", false),
	}, nil
}

func (r *running) List(_ context.Context, gvr schema.GroupVersionResource) ([]*unstructured.Unstructured, error) {
	r.listed[gvr.Resource]++
	var out []*unstructured.Unstructured
	for _, obj := range r.objects {
		if strings.ToLower(obj.GetKind())+"s" == gvr.Resource {
			out = append(out, obj)
		}
	}
	if gvr.Resource == "leases" && r.err != nil {
		return nil, r.err
	}
	return out, nil
}

func deployments(replicas ...int) string {
	var text strings.Builder
	for i, n := range replicas {
		fmt.Fprintf(&text, "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d%d, namespace: ns}\nspec: {replicas: %d}\n", i, n)
	}
	return text.String()
}

func TestCluster(t *testing.T) {
	t.Parallel()
	const (
		leases  = "  references:\n  - {name: leases, apiVersion: coordination.k8s.io/v1, kind: Lease}\n"
		unknown = "  references:\n  - {name: things, apiVersion: example.com/v1, kind: Thing}\n"
	)
	says := func(i int) string {
		return fmt.Sprintf("apps/v1/Deployment ns/d%d: the rule would newly report this object of the cluster: it does not hold", i)
	}
	for name, tc := range map[string]struct {
		tree, cluster string
		want          []string
		wantErr       string
	}{
		"a new rule":             {tree: ruleText("r", "", "object.spec.replicas > 1"), cluster: deployments(1, 2, 1), want: []string{says(0), says(2)}},
		"the same rule":          {tree: ruleText("r", "", "object.spec.replicas > 1"), cluster: ruleText("r", "", "object.spec.replicas > 1") + deployments(1)},
		"a rule that got harder": {tree: ruleText("r", "", "object.spec.replicas > 2"), cluster: ruleText("r", "", "object.spec.replicas > 1") + deployments(1, 2, 3), want: []string{says(1)}},
		"a rule of another name": {tree: ruleText("r", "", "object.spec.replicas > 1"), cluster: ruleText("s", "", "object.spec.replicas > 1") + deployments(1), want: []string{says(0)}},
		"a rule that resumes":    {tree: ruleText("r", "", "object.spec.replicas > 1"), cluster: ruleText("r", "  suspend: true", "object.spec.replicas > 1") + deployments(1), want: []string{says(0)}},
		"a rule that is suspended": {
			tree: ruleText("r", "  suspend: true", "object.spec.replicas > 1"), cluster: deployments(1),
		},
		"what only a cluster has": {
			tree: ruleText("r", leases, "refs.leases.size() > 0"), cluster: deployments(1), want: []string{says(0)},
		},
		"a kind that it does not serve": {
			tree: ruleText("r", unknown, "refs.things.size() > 0"), cluster: deployments(1), want: []string{says(0)},
		},
		"the labels of a Namespace": {
			tree:    strings.Replace(ruleText("r", "", "false"), "matchConstraints:\n", "matchConstraints:\n    namespaceSelector: {matchLabels: {guarded: 'yes'}}\n", 1),
			cluster: "apiVersion: v1\nkind: Namespace\nmetadata: {name: ns, labels: {guarded: 'no'}}\n" + deployments(1),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			live := &running{objects: builders.Objects(t, []byte(tc.cluster)), listed: map[string]int{}}
			report, err := onCluster(t, tc.tree, live)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range report.Findings {
				got = append(got, f.Object+": "+f.Message)
				if f.Path != "all.yaml" || f.Line != 1 || !f.Cluster {
					t.Errorf("the finding is at %s:%d, want at the rule", f.Path, f.Line)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			for resource, n := range live.listed {
				if n > 1 {
					t.Errorf("%s were listed %d times", resource, n)
				}
			}
		})
	}
}

func TestClusterReportsSoMany(t *testing.T) {
	t.Parallel()
	live := &running{objects: builders.Objects(t, []byte(deployments(make([]int, 130)...))), listed: map[string]int{}}
	report, err := onCluster(t, ruleText("r", "", "object.spec.replicas > 1"), live)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"ClusterRule/r would newly report 30 more objects of the cluster"}
	if diff := cmp.Diff(want, notes(report)); diff != "" || len(report.Findings) != 100 {
		t.Errorf("%d findings, want 100; notes (-want +got):\n%s", len(report.Findings), diff)
	}
}

func TestClusterThatMayNotBeListed(t *testing.T) {
	t.Parallel()
	forbidden := errors.New("list leases: forbidden")
	live := &running{objects: builders.Objects(t, []byte(deployments(1))), listed: map[string]int{}, err: forbidden}
	text := strings.Replace(ruleText("r", "", "true"), "[deployments]", "[leases]", 1)
	text = strings.Replace(text, "[apps]", "[coordination.k8s.io]", 1)
	if _, err := onCluster(t, text, live); !errors.Is(err, forbidden) {
		t.Errorf("what it is about: got %v, want %v", err, forbidden)
	}
	refers := ruleText("r", "  references:\n  - {name: leases, apiVersion: coordination.k8s.io/v1, kind: Lease}\n", "refs.leases.size() > 0")
	if _, err := onCluster(t, refers, live); !errors.Is(err, forbidden) {
		t.Errorf("what it refers to: got %v, want %v", err, forbidden)
	}
}

func onCluster(t *testing.T, tree string, live check.Live) (*check.Report, error) {
	t.Helper()
	checker, err := check.New(check.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return checker.Cluster(t.Context(), "tree", rendered(t, tree), live)
}

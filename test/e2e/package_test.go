//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/e2e/gitops"
)

// runsWithin is how long the replicas and the rules may take once Flux has applied them.
const runsWithin = time.Minute

// mainstayRuns checks that two replicas are Ready on two workers, and have judged every
// rule and Lifeline as it is now.
func (s *suite) mainstayRuns(t *testing.T) {
	t.Helper()
	eventually(t, runsWithin, "two replicas of Mainstay are Ready on two workers", func(ctx context.Context) (bool, string) {
		var pods corev1.PodList
		if err := s.client.List(ctx, &pods, client.InNamespace(gitops.Namespace)); err != nil {
			return false, err.Error()
		}
		nodes := map[string]bool{}
		for i := range pods.Items {
			if !podReady(&pods.Items[i]) {
				return false, "pod " + pods.Items[i].Name + " is not Ready"
			}
			nodes[pods.Items[i].Spec.NodeName] = true
		}
		seen := fmt.Sprintf("%d pods on %v", len(pods.Items), slices.Sorted(maps.Keys(nodes)))
		return len(pods.Items) == 2 && len(nodes) == 2, seen
	})
	eventually(t, runsWithin, "every rule and Lifeline is Ready", func(ctx context.Context) (bool, string) {
		seen := 0
		for _, kind := range []string{"ClusterRule", "Rule", "Lifeline"} {
			objects, err := s.objects(ctx, kind)
			if err != nil {
				return false, err.Error()
			}
			for i := range objects {
				observed, _, _ := unstructured.NestedInt64(objects[i].Object, "status", "observedGeneration")
				if status, reason, message := condition(&objects[i], "Ready"); status != "True" || observed != objects[i].GetGeneration() {
					return false, fmt.Sprintf("%s %s says Ready=%s of generation %d, %s: %s", kind, objects[i].GetName(), status, observed, reason, message)
				}
			}
			seen += len(objects)
		}
		return seen > 0, fmt.Sprintf("%d rules and Lifelines", seen)
	})
}

// objects are those of a kind of Mainstay, in all namespaces.
func (s *suite) objects(ctx context.Context, kind string) ([]unstructured.Unstructured, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind + "List"))
	if err := s.client.List(ctx, list); err != nil {
		return nil, err
	}
	return list.Items, nil
}

// lifeline compares what the Lifeline of Flux says with where the pods are.
func (s *suite) lifeline(t *testing.T) {
	eventually(t, 2*time.Minute, "the Lifeline of Flux survives any worker's loss and has every pod's place", func(ctx context.Context) (bool, string) {
		var line v1alpha1.Lifeline
		if err := s.client.Get(ctx, types.NamespacedName{Namespace: fluxNamespace, Name: "flux"}, &line); err != nil {
			return false, err.Error()
		}
		var pods corev1.PodList
		if err := s.client.List(ctx, &pods, client.InNamespace(fluxNamespace)); err != nil {
			return false, err.Error()
		}
		want := map[string][]string{}
		for i := range pods.Items {
			if podReady(&pods.Items[i]) {
				app := pods.Items[i].Labels["app"]
				want[app] = append(want[app], pods.Items[i].Spec.NodeName)
			}
		}
		got := map[string][]string{}
		for _, member := range line.Status.Members {
			got[member.Name] = member.Nodes
		}
		for app := range want {
			slices.Sort(want[app])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return false, "nodes of each member (-pods +status):\n" + diff
		}
		if line.Status.Survives == nil || !*line.Status.Survives {
			return false, fmt.Sprintf("survives: %v, weakest: %+v", line.Status.Survives, line.Status.Weakest)
		}
		return true, fmt.Sprint(got)
	})
}

// badRule is valid by its schema. Its expression does not compile.
const badRule = `apiVersion: mainstay.dev/v1alpha1
kind: ClusterRule
metadata:
  name: bad
spec:
  matchConstraints:
    resourceRules:
    - apiGroups: [apps]
      apiVersions: [v1]
      resources: [deployments]
      operations: [CREATE, UPDATE]
  validations:
  - expression: object.spec.replicas >
`

// badRuleInGit merges a rule that does not compile, and mends it.
func (s *suite) badRuleInGit(t *testing.T) {
	ctx := t.Context()
	const list = "manifests/rules/kustomization.yaml"
	good := s.projectFile(t, list)
	bad := strings.Replace(string(good), "resources:\n", "resources:\n- bad.yaml\n", 1)
	if _, err := s.repos.Project.Commit(ctx, "Add a bad rule", map[string][]byte{
		"manifests/rules/bad.yaml": []byte(badRule), list: []byte(bad),
	}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 2*time.Minute, "the rule's own condition says what is wrong", func(ctx context.Context) (bool, string) {
		rule, err := get(ctx, s.client, "mainstay.dev/v1alpha1", "ClusterRule", "", "bad")
		if err != nil {
			return false, err.Error()
		}
		status, reason, message := condition(rule, "Ready")
		return status == "False" && strings.Contains(message, "validations[0]"), fmt.Sprintf("Ready=%s, %s: %s", status, reason, message)
	})
	s.awaitKustomization(t, gitops.Rules, 4*time.Minute, func(status, message string) bool {
		return status == "False" && strings.Contains(message, "ClusterRule/bad")
	})
	// A bad rule hurts only itself.
	s.commit(t, "beside a bad rule")
	s.awaitLive(t, "beside a bad rule", time.Minute)

	if _, err := s.repos.Project.Commit(ctx, "Remove the bad rule", map[string][]byte{
		"manifests/rules/bad.yaml": nil, list: good,
	}); err != nil {
		t.Fatal(err)
	}
	s.awaitKustomization(t, gitops.Rules, 4*time.Minute, func(status, _ string) bool { return status == "True" })
	if _, err := get(ctx, s.client, "mainstay.dev/v1alpha1", "ClusterRule", "", "bad"); !apierrors.IsNotFound(err) {
		t.Errorf("the bad rule is still there: %v", err)
	}
}

// removed takes the package out of the user's repository: nothing of it stays, and
// Flux goes on.
func (s *suite) removed(t *testing.T) {
	ctx := t.Context()
	if err := s.repos.Uninstall(ctx); err != nil {
		t.Fatal(err)
	}
	s.nothingLeft(t)
	s.commit(t, "without Mainstay")
	s.awaitLive(t, "without Mainstay", time.Minute)
}

func (s *suite) awaitKustomization(t *testing.T, name string, limit time.Duration, want func(status, message string) bool) {
	t.Helper()
	eventually(t, limit, "Kustomization "+name, func(ctx context.Context) (bool, string) {
		status, message, err := kustomizationSays(ctx, s.client, name)
		if err != nil {
			return false, err.Error()
		}
		return want(status, message), fmt.Sprintf("Ready=%s, %s", status, message)
	})
}

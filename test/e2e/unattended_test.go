//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/test/e2e/gitops"
	"github.com/mainstay-dev/mainstay/test/fluxrun"
)

// mixed is the name of a Kustomization, and of what it applies.
const mixed = "mixed"

// budgetRule is one that the API server cannot judge by itself.
const budgetRule = `apiVersion: mainstay.dev/v1alpha1
kind: ClusterRule
metadata:
  name: has-a-budget
spec:
  modes: [Admission]
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {apiGroups: [apps], apiVersions: [v1], resources: [deployments], operations: [CREATE, UPDATE]}
  references:
  - {name: budgets, apiVersion: policy/v1, kind: PodDisruptionBudget}
  validations:
  - expression: refs.budgets.exists(b, selectorMatches(b.spec.selector, object.spec.template.metadata.labels))
    message: it has no budget
`

// recovers are objects of the recovery path, and two that are guarded and that no rule is
// about. VALUE changes them.
const recovers = `apiVersion: v1
kind: Namespace
metadata: {name: mixed, labels: {value: VALUE}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: mixed, labels: {value: VALUE}}
rules: []
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.mixed.test, labels: {value: VALUE}}
spec:
  group: mixed.test
  scope: Namespaced
  names: {kind: Gadget, listKind: GadgetList, plural: gadgets, singular: gadget}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: mixed, namespace: kube-system, labels: {value: VALUE}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: mixed, namespace: kube-system, labels: {value: VALUE}}
spec:
  replicas: 0
  selector: {matchLabels: {app: mixed}}
  template: {metadata: {labels: {app: mixed}}, spec: {containers: [{name: main, image: registry.example/main:v1}]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: mixed, namespace: mixed, labels: {value: VALUE}}
rules: []
---
apiVersion: v1
kind: ConfigMap
metadata: {name: mixed, namespace: mixed, labels: {value: VALUE}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: mixed, namespace: mixed, labels: {value: VALUE}}
`

// unbudgeted is guarded, and violates the rule.
const unbudgeted = `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: mixed, namespace: mixed}
spec:
  replicas: 0
  selector: {matchLabels: {app: mixed}}
  template: {metadata: {labels: {app: mixed}}, spec: {containers: [{name: main, image: registry.example/main:v1}]}}
`

const budget = `---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: mixed, namespace: mixed}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: mixed}}}
`

// unattended has Flux apply one Kustomization that mixes the recovery path with what is
// guarded, while no pod of Mainstay is there and a fail-closed rule with references is
// in force.
func (s *suite) unattended(t *testing.T) {
	ctx := t.Context()
	kubectl := func(args ...string) {
		t.Helper()
		if out, err := s.cluster.Kubectl(ctx, args...); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	rule := filepath.Join(t.TempDir(), "rule.yaml")
	if err := os.WriteFile(rule, []byte(budgetRule), 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl("apply", "--server-side", "-f", rule)
	eventually(t, time.Minute, "the rule is in force", func(ctx context.Context) (bool, string) {
		out, err := s.cluster.Kubectl(ctx, "-n", "default", "create", "deployment", mixed, "--image=registry.example/main:v1", "--replicas=0", "--dry-run=server")
		return err != nil && strings.Contains(err.Error(), "has-a-budget"), fmt.Sprint(out, err)
	})
	kubectl("-n", fluxNamespace, "patch", "kustomization", gitops.Program, "--type=merge", "-p", `{"spec":{"suspend":true}}`)
	kubectl("-n", gitops.Namespace, "scale", "deployment", "mainstay", "--replicas=0")
	eventually(t, time.Minute, "no pod of Mainstay is left", func(ctx context.Context) (bool, string) {
		var pods corev1.PodList
		err := s.client.List(ctx, &pods, client.InNamespace(gitops.Namespace))
		return err == nil && len(pods.Items) == 0, fmt.Sprintf("%d pods, %v", len(pods.Items), err)
	})

	repo, err := s.git.Create(ctx, mixed)
	if err != nil {
		t.Fatal(err)
	}
	commit := func(value, more string) {
		t.Helper()
		manifest := strings.ReplaceAll(recovers, "VALUE", value) + more
		if _, err := repo.Commit(ctx, "Set "+value, map[string][]byte{"objects/all.yaml": []byte(manifest)}); err != nil {
			t.Fatal(err)
		}
	}
	applied := func(value string) {
		t.Helper()
		eventually(t, time.Minute, "Flux has applied "+value, func(ctx context.Context) (bool, string) {
			out, err := s.cluster.Kubectl(ctx, "get", "clusterroles,namespaces,customresourcedefinitions,configmaps,deployments,roles,serviceaccounts", "-A", "-l", "value="+value, "-o", "name")
			return err == nil && len(strings.Fields(out)) == strings.Count(recovers, "VALUE"), fmt.Sprint(out, err)
		})
		s.awaitKustomization(t, mixed, time.Minute, func(status, _ string) bool { return status == "True" })
	}
	commit("first", "")
	if err := s.flux.Sync(ctx, fluxrun.SyncOptions{Name: mixed, URL: repo.URL(), Path: "objects", Prune: true, RetryInterval: 2 * time.Second}); err != nil {
		t.Fatal(err)
	}
	applied("first")
	commit("second", unbudgeted)
	s.awaitKustomization(t, mixed, time.Minute, func(status, message string) bool {
		return status == "False" && strings.Contains(message, "rules.mainstay.dev")
	})
	commit("third", "")
	applied("third")

	kubectl("-n", gitops.Namespace, "scale", "deployment", "mainstay", "--replicas=2")
	kubectl("-n", fluxNamespace, "patch", "kustomization", gitops.Program, "--type=merge", "-p", `{"spec":{"suspend":false}}`)
	s.mainstayRuns(t)
	commit("fourth", unbudgeted)
	s.awaitKustomization(t, mixed, time.Minute, func(status, message string) bool {
		return status == "False" && strings.Contains(message, "it has no budget")
	})
	// The webhook sees what Flux applied before it, in the same Kustomization or not.
	commit("fifth", budget)
	applied("fifth")
	commit("sixth", budget+unbudgeted)
	applied("sixth")

	kubectl("-n", fluxNamespace, "delete", "kustomization/"+mixed, "gitrepository/"+mixed)
	kubectl("delete", "-f", rule)
}

package flux_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mainstay-dev/mainstay/test/builders"
)

func TestBaseRunsTwoReplicasThatSpreadSoftly(t *testing.T) {
	t.Parallel()
	base := builders.Objects(t, build(t, "manifests/base"))

	var deployment appsv1.Deployment
	convert(t, find(t, base, "Deployment", "mainstay"), &deployment)
	if got := *deployment.Spec.Replicas; got != 2 {
		t.Errorf("replicas = %d, want 2", got)
	}
	spread := deployment.Spec.Template.Spec.TopologySpreadConstraints
	if len(spread) != 1 || spread[0].WhenUnsatisfiable != corev1.ScheduleAnyway || spread[0].TopologyKey != corev1.LabelHostname {
		t.Errorf("spread = %+v, want one soft constraint on the hostname", spread)
	}
	tolerated := map[string]int64{}
	for _, toleration := range deployment.Spec.Template.Spec.Tolerations {
		tolerated[toleration.Key] = *toleration.TolerationSeconds
	}
	if diff := cmp.Diff(map[string]int64{corev1.TaintNodeNotReady: 10, corev1.TaintNodeUnreachable: 10}, tolerated); diff != "" {
		t.Errorf("tolerations (-want +got):\n%s", diff)
	}

	var pdb policyv1.PodDisruptionBudget
	convert(t, find(t, base, "PodDisruptionBudget", "mainstay"), &pdb)
	if pdb.Spec.MinAvailable.IntValue() != 1 || *pdb.Spec.UnhealthyPodEvictionPolicy != policyv1.AlwaysAllow {
		t.Errorf("PodDisruptionBudget = %+v, want minAvailable 1 and AlwaysAllow", pdb.Spec)
	}
	if diff := cmp.Diff(deployment.Spec.Selector, pdb.Spec.Selector); diff != "" {
		t.Errorf("the budget selects other pods than the Deployment (-want +got):\n%s", diff)
	}
}

func TestReaderReadsNamedKindsAndNoSecrets(t *testing.T) {
	t.Parallel()
	base := builders.Objects(t, build(t, "manifests/base"))
	for _, name := range []string{"mainstay-reader-core", "mainstay-view"} {
		var role rbacv1.ClusterRole
		convert(t, find(t, base, "ClusterRole", name), &role)
		if len(role.Rules) == 0 {
			t.Errorf("%s has no rules", name)
		}
		for _, rule := range role.Rules {
			if diff := cmp.Diff([]string{"get", "list", "watch"}, rule.Verbs); diff != "" {
				t.Errorf("%s: verbs on %v (-want +got):\n%s", name, rule.Resources, diff)
			}
			for _, kind := range append(slices.Clone(rule.Resources), rule.APIGroups...) {
				if kind == "*" || kind == "secrets" || kind == "configmaps" {
					t.Errorf("%s may read %q of %q", name, kind, rule.APIGroups)
				}
			}
		}
	}

	var reader, core rbacv1.ClusterRole
	convert(t, find(t, base, "ClusterRole", "mainstay-reader"), &reader)
	convert(t, find(t, base, "ClusterRole", "mainstay-reader-core"), &core)
	selector := reader.AggregationRule.ClusterRoleSelectors[0].MatchLabels
	for key, value := range selector {
		if core.Labels[key] != value {
			t.Errorf("mainstay-reader-core lacks the label %s=%s that mainstay-reader aggregates", key, value)
		}
	}
}

func TestFluxFolderAppliesTheRulesAfterTheProgram(t *testing.T) {
	t.Parallel()
	all := builders.Objects(t, build(t, "flux"))
	program, rules := find(t, all, "Kustomization", "mainstay"), find(t, all, "Kustomization", "mainstay-rules")
	for obj, want := range map[*unstructured.Unstructured]string{program: "./manifests/base", rules: "./manifests/rules"} {
		path, _, _ := unstructured.NestedString(obj.Object, "spec", "path")
		if path != want {
			t.Errorf("path of %s = %s, want %s", obj.GetName(), path, want)
		}
		if wait, _, _ := unstructured.NestedBool(obj.Object, "spec", "wait"); !wait {
			t.Errorf("%s does not wait", obj.GetName())
		}
		source, _, _ := unstructured.NestedString(obj.Object, "spec", "sourceRef", "name")
		find(t, all, "GitRepository", source)
	}
	if policy, _, _ := unstructured.NestedString(program.Object, "spec", "deletionPolicy"); policy != "WaitForTermination" {
		t.Errorf("deletionPolicy of the program = %q", policy)
	}
	dependsOn, _, _ := unstructured.NestedSlice(rules.Object, "spec", "dependsOn")
	if diff := cmp.Diff([]any{map[string]any{"name": "mainstay"}}, dependsOn); diff != "" {
		t.Errorf("dependsOn of the rules (-want +got):\n%s", diff)
	}
}

// find returns the one object of a kind and name.
func find(t *testing.T, all []*unstructured.Unstructured, kind, name string) *unstructured.Unstructured {
	t.Helper()
	for _, obj := range all {
		if obj.GetKind() == kind && obj.GetName() == name {
			return obj
		}
	}
	t.Fatalf("there is no %s %s", kind, name)
	return nil
}

// convert reads an object into its Go type, and refuses fields that it lacks.
func convert(t *testing.T, obj *unstructured.Unstructured, into any) {
	t.Helper()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(obj.Object, into, true); err != nil {
		t.Fatalf("reading %s %s: %v", obj.GetKind(), obj.GetName(), err)
	}
}

package manager_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/cluster"
)

// deniesAll is the worst rule that can be written.
func deniesAll() *builders.ClusterRuleBuilder {
	return builders.MakeClusterRule("denies-all").Modes(admission).Match("*", "*", "*/*").
		Operations(admissionregistrationv1.OperationAll).Validate("false", "nothing is allowed").FailurePolicy(admissionregistrationv1.Fail)
}

func definitionOf(group, kind, plural string) *apiextensionsv1.CustomResourceDefinition {
	keep := true
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: plural + "." + group},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: group, Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: kind, Plural: plural, Singular: strings.ToLower(kind), ListKind: kind + "List"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &keep}},
			}},
		},
	}
}

// recoveryPath are objects of the recovery path: in its namespaces, and of its
// kinds in any.
func recoveryPath(guarded, state string) map[string]client.Object {
	out := map[string]client.Object{
		"a Node":        &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "joins"}},
		"a Namespace":   &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "new-" + state}},
		"a definition":  definitionOf("recovery.test", "Gadget", "gadgets"),
		"a ClusterRole": &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "recovers"}},
		"a CSIDriver":   &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: "driver.test"}},
		"a webhook":     &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "recovers"}},
		"a rule":        builders.MakeClusterRule("another").Match("", "v1", "pods").Validate("true", "").Obj(),
	}
	for _, namespace := range []string{"flux-system", "kube-system", ownNamespace, guarded} {
		out["a Lease in "+namespace] = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "held"}}
		out["a Role in "+namespace] = &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "recovers"}}
		if namespace == guarded {
			continue
		}
		out["a Deployment in "+namespace] = builders.MakeDeployment(namespace, "controller").Obj()
		out["a ConfigMap in "+namespace] = configMap(namespace, "settings")
		out["a Service in "+namespace] = &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "controller"},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
		}
		out["a Kustomization in "+namespace] = &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
			"metadata": map[string]any{"namespace": namespace, "name": "apps"},
		}}
	}
	return out
}

// controlPlane are users who keep the cluster going, and their groups.
func controlPlane() map[string][]string {
	return map[string][]string{
		"system:node:worker-1":                              {"system:nodes"},
		"system:bootstrap:abcdef":                           {"system:bootstrappers"},
		"system:kube-controller-manager":                    nil,
		"system:kube-scheduler":                             nil,
		"system:serviceaccount:kube-system:node-controller": {"system:serviceaccounts", "system:serviceaccounts:kube-system"},
		"root": {"system:masters"},
	}
}

// mayDoAll gives users every right by name, so that nothing but a policy is in
// the way of what they try.
func mayDoAll(users []string, more ...string) *rbacv1.ClusterRoleBinding {
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "test-admins"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
	}
	for _, user := range append(users, more...) {
		binding.Subjects = append(binding.Subjects, rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: user})
	}
	return binding
}

// TestRuleThatDeniesEverythingLocksNothing has law 1 for the policies in the API
// server: with Mainstay alive, without it, and after its kinds were deleted.
func TestRuleThatDeniesEverythingLocksNothing(t *testing.T) {
	t.Parallel()
	e := ownCluster(t, cluster.Options{Out: os.Stderr})
	fluxIs, jane := "system:serviceaccount:flux-system:kustomize-controller", "jane"
	guarded := e.namespace(t, nil)
	bypassed := e.namespace(t, map[string]string{v1alpha1.LabelBypass: "true"})
	tenant := e.namespace(t, nil)
	e.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "flux-system"}}, definitionOf("kustomize.toolkit.fluxcd.io", "Kustomization", "kustomizations"),
		mayDoAll(slices.Sorted(maps.Keys(controlPlane())), fluxIs, jane))
	flux := e.as(t, fluxIs, "system:serviceaccounts", "system:serviceaccounts:flux-system", "system:authenticated")
	person := e.as(t, jane, "system:authenticated")

	first := e.startReplica(t, options("locks-0"))
	r, own := deniesAll().Obj(), builders.MakeRule(tenant, "denies-all").Modes(admission).Match("*", "*", "*").Validate("false", "nothing is allowed").Obj()
	fleeting := builders.MakeClusterRule("fleeting").Modes(admission).Match("", "v1", "configmaps").Validate("false", "not one").Obj()
	for _, obj := range []client.Object{r, own, fleeting} {
		if err := e.client.Create(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
		ruleStatus(t, e, obj, enforcedIs(metav1.ConditionTrue, v1alpha1.ReasonSucceeded))
	}
	denied(t, e.client, configMap(guarded, "a"))
	denied(t, person, configMap("flux-system", "a"))
	denied(t, person, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "joins"}})
	denied(t, flux, configMap(tenant, "a"))
	denied(t, flux, &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "guarded"}})

	open := func(state string) {
		t.Helper()
		for name, obj := range recoveryPath(guarded, state) {
			// The API server writes for some of them: a Service has an IPAddress.
			if err := flux.Create(t.Context(), obj.DeepCopyObject().(client.Object)); err != nil {
				t.Errorf("%s: Flux cannot create %s: %v", state, name, err)
				continue
			}
			change := obj.DeepCopyObject().(client.Object)
			patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"changed":"yes"}}}`))
			if err := flux.Patch(t.Context(), change, patch); err != nil {
				t.Errorf("%s: Flux cannot change %s: %v", state, name, err)
			}
			if err := flux.Delete(t.Context(), change); err != nil {
				t.Errorf("%s: Flux cannot delete %s: %v", state, name, err)
			}
		}
		if err := tries(t.Context(), person, configMap(bypassed, "a")); err != nil {
			t.Errorf("%s: a namespace that is bypassed is not: %v", state, err)
		}
		if err := tries(t.Context(), e.client, configMap(guarded, "a")); err == nil {
			t.Errorf("%s: what is guarded is admitted", state)
		}
		for user, groups := range controlPlane() {
			if err := tries(t.Context(), e.as(t, user, append(groups, "system:authenticated")...), configMap("kube-system", "a")); err != nil {
				t.Errorf("%s: %s is kept from the recovery path: %v", state, user, err)
			}
		}
	}
	open("attended")

	first.stop()
	if err := <-first.done; err != nil {
		t.Fatal(err)
	}
	open("unattended")

	// Nobody sees the Rule go; the next leader does away with what is left.
	if err := person.Delete(t.Context(), own); err != nil {
		t.Fatalf("a rule that denies everything keeps itself from being deleted: %v", err)
	}
	if err := tries(t.Context(), flux, configMap(tenant, "a")); err == nil {
		t.Error("a policy went with its Rule though nobody was there to delete it")
	}
	if err := person.Delete(t.Context(), fleeting); err != nil {
		t.Fatal(err)
	}
	policiesGone(t, e, "mainstay-cr-fleeting", "mainstay-recovery-cr-fleeting")
	second := e.startReplica(t, options("locks-1"))
	gone(t, e, "mainstay-r-"+tenant+".denies-all", "mainstay-recovery-r-"+tenant+".denies-all")
	second.stop()
	if err := <-second.done; err != nil {
		t.Fatal(err)
	}

	if _, err := e.Kubectl(t.Context(), "delete", "crd", "clusterrules.mainstay.dev", "rules.mainstay.dev"); err != nil {
		t.Fatal(err)
	}
	// The policies may stay: the garbage collector can ask nobody about an owner
	// whose kind is gone. Without bindings they do nothing.
	for _, name := range []string{"mainstay-cr-denies-all", "mainstay-recovery-cr-denies-all", "mainstay-recovery-kinds-cr-denies-all"} {
		notFound(t, e, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		err := tries(ctx, person, builders.MakeDeployment(guarded, "web").Obj())
		return err == nil, fmt.Sprint(err)
	})
}

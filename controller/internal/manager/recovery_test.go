package manager_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/cluster"
	"github.com/mainstay-dev/mainstay/test/recovery"
)

// deniesAll is the worst rule that can be written.
func deniesAll() *builders.ClusterRuleBuilder {
	return builders.MakeClusterRule("denies-all").Modes(admission).Match("*", "*", "*/*").
		Operations(admissionregistrationv1.OperationAll).Validate("false", "nothing is allowed").FailurePolicy(admissionregistrationv1.Fail)
}

// walk has everybody who keeps the cluster going walk the recovery path.
func (e *env) walk(t *testing.T, path recovery.Path, state string) {
	t.Helper()
	for i, user := range recovery.Users() {
		cfg, err := e.ConfigFor(user.Name, user.Groups...)
		if err != nil {
			t.Fatal(err)
		}
		err = path.Walk(t.Context(), cfg, user, fmt.Sprintf("%s-%d", state, i), i, func(user, what string, _ time.Duration, err error) {
			if err != nil {
				t.Errorf("%s: %s cannot %s: %v", state, user, what, err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A walk of the recovery path tries every kind that is on it.
func TestRecoveryKindsAreTried(t *testing.T) {
	t.Parallel()
	objs, err := recovery.Kinds("any", "any")
	if err != nil {
		t.Fatal(err)
	}
	served, err := discovery.NewDiscoveryClientForConfigOrDie(shared.Config()).ServerPreferredResources()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, list := range served {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, resource := range list.APIResources {
			// A pod is bound by its subresource, too.
			if !policy.IsRecoveryKind(version.WithResource(resource.Name).GroupResource()) || resource.Kind == "Binding" {
				continue
			}
			found++
			if !slices.ContainsFunc(objs, func(obj *unstructured.Unstructured) bool {
				return obj.GroupVersionKind() == version.WithKind(resource.Kind)
			}) {
				t.Errorf("%s of %s is on the recovery path, and not tried", resource.Kind, version)
			}
		}
	}
	if found < 20 {
		t.Errorf("the API server serves %d kinds of the recovery path", found)
	}
}

// TestRuleThatDeniesEverythingLocksNothing has law 1 for the policies in the API
// server: with Mainstay alive, without it, and after its kinds were deleted.
func TestRuleThatDeniesEverythingLocksNothing(t *testing.T) {
	t.Parallel()
	e := ownCluster(t, cluster.Options{Out: os.Stderr})
	const fluxIs = "system:serviceaccount:flux-system:kustomize-controller"
	guarded := e.namespace(t, nil)
	bypassed := e.namespace(t, map[string]string{v1alpha1.LabelBypass: "true"})
	tenant := e.namespace(t, nil)
	e.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "flux-system"}})
	e.apply(t, recovery.Definitions)
	path := recovery.Path{Namespaces: []string{"flux-system", "kube-system", ownNamespace}, Guarded: guarded}
	eventually(t, 10*time.Second, func(ctx context.Context) (bool, string) {
		err := path.Prepare(ctx, e.client)
		return err == nil, fmt.Sprint(err)
	})
	flux := e.as(t, fluxIs, "system:serviceaccounts", "system:serviceaccounts:flux-system", "system:authenticated")
	person := e.administrator(t, "jane")

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
		e.walk(t, path, state)
		if err := tries(t.Context(), person, configMap(bypassed, "a")); err != nil {
			t.Errorf("%s: a namespace that is bypassed is not: %v", state, err)
		}
		if err := tries(t.Context(), e.client, configMap(guarded, "a")); err == nil {
			t.Errorf("%s: what is guarded is admitted", state)
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

package manager_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/cluster"
)

// One object has the entries of all rules, and one that the API server does not take in it
// must not keep the others from being written.
func TestWebhookRuleHurtsOnlyItself(t *testing.T) {
	t.Parallel()
	e := ownCluster(t, cluster.Options{Out: t.Output()})
	namespace, jane := e.namespace(t, nil), e.administrator(t, "jane")
	several := hasBudget("several-conditions")
	for i := range 63 {
		several.Condition(fmt.Sprintf("c%d", i), "true")
	}
	bad := []*v1alpha1.ClusterRule{
		hasBudget("no-name").Condition("not a name", "true").Obj(),
		hasBudget("our-name").Condition("mainstay.dev/guarded", "true").Obj(),
		several.Obj(),
	}
	// By itself it is as deep as a parser takes; with what the API server evaluates
	// before it, it is too deep.
	deep := hasBudget("deep").Condition("deep", deepest(t)).Obj()
	good := hasBudget("good").Obj()
	for _, one := range append(bad, deep, good) {
		e.create(t, one)
	}
	replica := e.startReplica(t, withWebhook(t, "judge"))
	for _, one := range bad {
		e.enforced(t, one, metav1.ConditionFalse, v1alpha1.ReasonInvalidSpec)
	}
	e.enforced(t, good, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	e.enforced(t, deep, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	web := builders.MakeDeployment(namespace, "web").Label("app", "web").Replicas(2).Obj()
	refusedBy := func(name string) {
		t.Helper()
		eventually(t, takeUp, func(ctx context.Context) (bool, string) {
			err := tries(ctx, jane, web)
			return err != nil && strings.Contains(err.Error(), name), fmt.Sprint(err)
		})
	}
	refusedBy("ClusterRule good")
	config, err := configuration(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	for i := range config.Webhooks {
		for _, condition := range config.Webhooks[i].MatchConditions {
			if condition.Name == "deep" {
				t.Error("the API server takes the condition: this test shows nothing")
			}
		}
	}
	edit(t, e, good, func(r *v1alpha1.ClusterRule) { r.Spec.Suspend = true })
	refusedBy("ClusterRule deep")
	edit(t, e, good, func(r *v1alpha1.ClusterRule) { r.Spec.Suspend = false })
	refusedBy("ClusterRule good")
	if err := e.client.Delete(t.Context(), deep); err != nil {
		t.Fatal(err)
	}

	// Nobody can serve: what no rule asks for goes all the same, and the rest stays.
	replica.stop()
	<-replica.done
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ownNamespace, Name: "mainstay-webhook-tls"}}
	if err := e.client.Delete(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	opts := withWebhook(t, "without")
	opts.WebhookCertRotation = false
	e.startReplica(t, opts)
	other := hasBudget("other").FailurePolicy("Ignore").Obj()
	e.create(t, other)
	e.enforced(t, other, metav1.ConditionUnknown, v1alpha1.ReasonSyncing)
	refusedBy("failed calling webhook")
	edit(t, e, good, func(r *v1alpha1.ClusterRule) { r.Spec.Suspend = true })
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		err := tries(ctx, jane, web)
		return err == nil, fmt.Sprint(err)
	})
	if config, err = configuration(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if names := entries(config); len(names) > 0 {
		t.Errorf("entries %v, want none: none is made without a certificate", names)
	}
}

// deepest is a condition in as many parentheses as an expression may have.
func deepest(t *testing.T) string {
	t.Helper()
	compiler, err := expr.NewCompiler(1)
	if err != nil {
		t.Fatal(err)
	}
	for n := 300; n > 0; n-- {
		text := strings.Repeat("(", n) + "true" + strings.Repeat(")", n)
		spec := &hasBudget("deep").Condition("deep", text).Obj().Spec
		if _, mistakes := rule.Compile(compiler.WithoutCache(), rule.Key{Kind: rule.KindClusterRule, Name: "deep"}, 1, spec); len(mistakes) == 0 {
			return text
		}
	}
	t.Fatal("no condition compiles")
	return ""
}

// What is in no namespace is guarded for people, and not for those who keep workers going:
// the network of every pod begins with such an object.
func TestInfrastructureIsNotJudgedOutsideOfNamespaces(t *testing.T) {
	t.Parallel()
	e := ownCluster(t, cluster.Options{Out: t.Output()})
	everything := func(name string) *builders.ClusterRuleBuilder {
		return builders.MakeClusterRule(name).Modes(admission).Match("*", "*", "*/*")
	}
	labelled := everything("labelled").Validate("'owner' in object.?metadata.?labels.orValue({})", "no owner").Obj()
	counted := everything("counted").Refer("budgets", "policy/v1", "PodDisruptionBudget").Validate("refs.budgets.size() > 99", "too few").Obj()
	e.create(t, labelled, counted)
	opts := withWebhook(t, "judge")
	opts.RecoveryNamespaces = []string{"cni-system", "flux-system"}
	opts.RecoveryUsers = []string{"eks:*", "cloud-storage"}
	replica := e.startReplica(t, opts)
	e.enforced(t, labelled, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	e.enforced(t, counted, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "block"},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/data"}},
		},
	}
	account := func(namespace, name string) client.Client {
		return e.administrator(t, "system:serviceaccount:"+namespace+":"+name, "system:serviceaccounts", "system:serviceaccounts:"+namespace)
	}
	exempt := map[string]client.Client{
		"a controller of kube-system": account("kube-system", "calico-node"),
		"a plugin of another one":     account("cni-system", "agent"),
		"a node":                      e.administrator(t, "system:node:a", "system:nodes"),
		"a part of the provider's":    e.administrator(t, "eks:addon-manager"),
		"another one":                 e.administrator(t, "cloud-storage"),
	}
	judged := map[string]client.Client{
		"a person": e.administrator(t, "jane"), "Flux": account("flux-system", "kustomize-controller"), "a tenant": account("shop", "deployer"),
		"somebody of such a name": e.administrator(t, "cloud-storage-admin"),
	}
	inside := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: "add-on"}}
	denied(t, judged["a person"], inside)
	if err := tries(t.Context(), exempt["a part of the provider's"], inside); err != nil {
		t.Errorf("a part of the provider's, in kube-system: %v", err)
	}
	try := func(while, by string) {
		t.Helper()
		for who, c := range judged {
			eventually(t, takeUp, func(ctx context.Context) (bool, string) {
				err := tries(ctx, c, volume)
				return err != nil && strings.Contains(err.Error(), by), fmt.Sprintf("%s: %v", who, err)
			})
		}
		for who, c := range exempt {
			if err := tries(t.Context(), c, volume); err != nil {
				t.Errorf("%s: %s: %v", while, who, err)
			}
		}
	}
	try("a replica answers", "no owner")
	edit(t, e, labelled, func(r *v1alpha1.ClusterRule) { r.Spec.Suspend = true })
	try("the webhook is asked", "ClusterRule counted")
	replica.stop()
	<-replica.done
	try("nobody answers", "failed calling webhook")
}

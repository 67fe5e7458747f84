package manager_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/cluster"
)

const (
	widgets = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.outage.mainstay.dev}
spec:
  group: outage.mainstay.dev
  names: {kind: Widget, plural: widgets, singular: widget, listKind: WidgetList}
  scope: Namespaced
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`
	// Nobody answers for the group.
	widgetsDown = `
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.outage.mainstay.dev}
spec:
  group: outage.mainstay.dev
  version: v1
  groupPriorityMinimum: 1000
  versionPriority: 15
  insecureSkipTLSVerify: true
  service: {namespace: default, name: nobody}
`
)

// A leader that starts while an aggregated API server is down knows nothing of what that
// serves. What is asked about it stays.
func TestOutageOpensNoGateOfANewLeader(t *testing.T) {
	t.Parallel()
	e := ownCluster(t, cluster.Options{Out: t.Output()})
	e.apply(t, widgets)
	alone := builders.MakeClusterRule("about-widgets").Modes(admission).Match("outage.mainstay.dev", "v1", "widgets").
		Refer("budgets", "policy/v1", "PodDisruptionBudget").Validate("refs.budgets.size() < 0", "").Obj()
	beside := builders.MakeClusterRule("about-more").Modes(admission).ObjectLabels("app", "web").
		Match("outage.mainstay.dev", "v1", "widgets").Match("apps", "v1", "deployments").
		Refer("budgets", "policy/v1", "PodDisruptionBudget").Validate("refs.budgets.size() < 0", "").Obj()
	e.create(t, alone, beside)
	first := e.startReplica(t, withWebhook(t, "first"))
	for _, rule := range []*v1alpha1.ClusterRule{alone, beside} {
		e.enforced(t, rule, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	}
	if got := askedAboutWidgets(t, e); got != 2 {
		t.Fatalf("%d webhooks ask about Widgets, want 2", got)
	}
	first.stop()
	<-first.done

	if _, err := e.Kubectl(t.Context(), "delete", "crd", "widgets.outage.mainstay.dev"); err != nil {
		t.Fatal(err)
	}
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		_, err := e.Kubectl(ctx, "get", "apiservice", "v1.outage.mainstay.dev")
		return err != nil, "the group is still served"
	})
	e.apply(t, widgetsDown)
	e.startReplica(t, withWebhook(t, "second"))
	awaitHolder(t, e, 30*time.Second, func(name string) bool { return name == "second" })
	// Another URL is what the new leader writes; what nobody wants goes some seconds after.
	marker := hasBudget("has-budget").Obj()
	e.create(t, marker)
	e.enforced(t, marker, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	for until := time.Now().Add(2 * policy.Settling); time.Now().Before(until); time.Sleep(500 * time.Millisecond) {
		if got := askedAboutWidgets(t, e); got != 2 {
			t.Fatalf("%d webhooks ask about Widgets during the outage, want 2", got)
		}
	}
	for _, rule := range []*v1alpha1.ClusterRule{alone, beside} {
		e.enforced(t, rule, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	}

	// What no rule asks about any more goes, outage or not.
	if err := e.client.Delete(t.Context(), alone); err != nil {
		t.Fatal(err)
	}
	eventually(t, takeUp+policy.Settling, func(context.Context) (bool, string) {
		got := askedAboutWidgets(t, e)
		return got == 1, fmt.Sprint(got, " webhooks ask about Widgets")
	})
}

// askedAboutWidgets counts the webhooks that do.
func askedAboutWidgets(t *testing.T, e *env) int {
	t.Helper()
	config, err := configuration(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i := range config.Webhooks {
		for _, asked := range config.Webhooks[i].Rules {
			if slices.Contains(asked.Resources, "widgets") {
				n++
			}
		}
	}
	return n
}

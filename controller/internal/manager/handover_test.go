package manager_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/cluster"
)

// prober makes a request that is to be denied over and over.
type prober struct {
	mu       sync.Mutex
	asked    int
	admitted []time.Time
	by       map[string]int
	stop     context.CancelFunc
	done     sync.WaitGroup
}

func probe(t *testing.T, as client.Client, web *appsv1.Deployment, said ...string) *prober {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	p := &prober{stop: stop, by: map[string]int{}}
	p.done.Go(func() {
		for ctx.Err() == nil {
			err := tries(ctx, as, web)
			p.mu.Lock()
			switch p.asked++; {
			case err == nil:
				p.admitted = append(p.admitted, time.Now())
			case ctx.Err() == nil:
				why := err.Error()
				for _, words := range said {
					if strings.Contains(why, words) {
						why = words
					}
				}
				p.by[why]++
			}
			p.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		stop()
		p.done.Wait()
	})
	return p
}

// seen is who denied how often so far.
func (p *prober) seen() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.by)
}

// An edit that moves a rule between the API server's policies and the webhook opens no gate
// for a moment.
func TestRuleIsHandedOver(t *testing.T) {
	t.Parallel()
	e := ownCluster(t, cluster.Options{Out: t.Output()})
	namespace, jane := e.namespace(t, nil), e.administrator(t, "jane")
	web := builders.MakeDeployment(namespace, "web").Label("app", "web").Replicas(2).Obj()
	byPolicy := builders.MakeClusterRule("handed").Modes(admission).Match("apps", "v1", "deployments").
		Validate("object.spec.?replicas.orValue(1) < 2", "by policy").Obj()
	// It shares the entry of the webhook configuration, and is not about the Deployment.
	beside := hasBudget("beside").Exclude("apps", "v1", "deployments", "web").Obj()
	e.create(t, byPolicy, beside)
	e.startReplica(t, withWebhook(t, "judge"))
	enforcedBy := func(by v1alpha1.Enforcement) {
		t.Helper()
		eventually(t, takeUp, func(ctx context.Context) (bool, string) {
			got, err := get(ctx, e, byPolicy)
			if err != nil {
				return false, err.Error()
			}
			ok := got.Status.Enforcement == by && enforcedIs("True", v1alpha1.ReasonSucceeded)(&got.Status)
			return ok, fmt.Sprintf("%s %v", got.Status.Enforcement, got.Status.Conditions)
		})
	}
	// left counts what is there of the policies of the rule.
	left := func(want int) {
		t.Helper()
		eventually(t, takeUp, func(ctx context.Context) (bool, string) {
			var bindings admissionregistrationv1.ValidatingAdmissionPolicyBindingList
			if err := e.client.List(ctx, &bindings, client.MatchingLabels{"app.kubernetes.io/managed-by": "mainstay"}); err != nil {
				return false, err.Error()
			}
			return len(bindings.Items) == want, fmt.Sprintf("%d bindings", len(bindings.Items))
		})
	}
	enforcedBy(v1alpha1.EnforcementInProcess)
	eventually(t, takeUp, func(ctx context.Context) (bool, string) { return refused(tries(ctx, jane, web), "by policy") })
	var before admissionregistrationv1.ValidatingAdmissionPolicyBindingList
	if err := e.client.List(t.Context(), &before, client.MatchingLabels{"app.kubernetes.io/managed-by": "mainstay"}); err != nil {
		t.Fatal(err)
	}
	e.enforced(t, beside, "True", v1alpha1.ReasonSucceeded)

	policySpec := byPolicy.Spec.DeepCopy()
	p := probe(t, jane, web, "by policy", "a budget is missing")
	edit(t, e, byPolicy, func(r *v1alpha1.ClusterRule) { r.Spec = hasBudget("handed").Obj().Spec })
	enforcedBy(v1alpha1.EnforcementWebhook)
	left(0)
	eventually(t, takeUp, func(context.Context) (bool, string) {
		by := p.seen()
		return by["a budget is missing"] > 0, fmt.Sprint(by)
	})
	edit(t, e, byPolicy, func(r *v1alpha1.ClusterRule) { r.Spec = *policySpec })
	enforcedBy(v1alpha1.EnforcementInProcess)
	left(len(before.Items))
	time.Sleep(policy.Settling + 2*time.Second) // then the webhook has let go
	p.stop()
	p.done.Wait()
	t.Logf("%d requests, denied: %v", p.asked, p.by)
	if len(p.admitted) > 0 || len(p.by) != 2 || p.by["by policy"] == 0 || p.by["a budget is missing"] == 0 {
		t.Errorf("%d of %d requests were admitted, denied: %v", len(p.admitted), p.asked, p.by)
	}

	// What the webhook cannot judge by stays with the policies.
	edit(t, e, byPolicy, func(r *v1alpha1.ClusterRule) {
		r.Spec.References = []v1alpha1.Reference{{Name: "widgets", APIVersion: "example.com/v1", Kind: "Widget"}}
		r.Spec.Validations[0].Expression = "refs.widgets.size() > 0"
	})
	e.enforced(t, byPolicy, "False", v1alpha1.ReasonKindNotFound)
	time.Sleep(policy.Settling + time.Second) // then they would be gone
	if ok, seen := refused(tries(t.Context(), jane, web), "by policy"); !ok {
		t.Errorf("a generation that cannot be enforced: %s", seen)
	}
	edit(t, e, byPolicy, func(r *v1alpha1.ClusterRule) { r.Spec = *policySpec.DeepCopy() })
	enforcedBy(v1alpha1.EnforcementInProcess)

	// Its entry is still there, for the other rule: it says nothing of a former generation.
	edit(t, e, byPolicy, func(r *v1alpha1.ClusterRule) {
		r.Spec.Validations[0].Expression = "object.spec.?replicas.orValue(1) < 3"
	})
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		err := tries(ctx, jane, web)
		return err == nil, fmt.Sprint(err)
	})
	config, err := configuration(t.Context(), e)
	if err != nil || len(entries(config)) != 1 {
		t.Errorf("entries %v, %v; want that of the other rule", config, err)
	}

	// Policies judge requests about nodes, and the webhook none: with references none are.
	edit(t, e, byPolicy, func(r *v1alpha1.ClusterRule) {
		r.Spec = builders.MakeClusterRule("handed").Modes(admission).Match("", "v1", "nodes").Validate("object.metadata.name != 'bad'", "").Obj().Spec
	})
	left(1)
	edit(t, e, byPolicy, func(r *v1alpha1.ClusterRule) {
		r.Spec = builders.MakeClusterRule("handed").Modes(admission).Match("", "v1", "nodes").
			Refer("budgets", "policy/v1", "PodDisruptionBudget").Validate("refs.budgets.size() > 0", "a budget is missing").Obj().Spec
	})
	e.enforced(t, byPolicy, "False", v1alpha1.ReasonKindNotFound)
	left(0)
}

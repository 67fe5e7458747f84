package manager_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/manager"
	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/cluster"
)

// A leader that loses its Lease acts no more. What API servers ask meanwhile is judged, until
// they have had time to find another replica.
func TestLostLeaseAnswersOn(t *testing.T) {
	t.Parallel()
	e := ownCluster(t, cluster.Options{Out: t.Output()})
	rule := hasBudget("has-budget").Obj()
	e.create(t, rule)
	opts := withWebhook(t, "robbed")
	opts.HealthAddr, opts.DrainTime = freePort(t), 5*time.Second
	r := e.startReplica(t, opts)
	e.enforced(t, rule, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	good := func() *appsv1.Deployment { return builders.MakeDeployment("default", "good").Replicas(1).Obj() }
	bad := func() *appsv1.Deployment { return builders.MakeDeployment("default", "bad").Replicas(2).Obj() }
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		err := tries(ctx, e.client, bad())
		return err != nil && strings.Contains(err.Error(), "a budget is missing"), fmt.Sprint(err)
	})

	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: ownNamespace, Name: manager.LeaseName}}
	edit(t, e, lease, func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = new("robber") })
	eventually(t, opts.RenewDeadline+takeUp, func(ctx context.Context) (bool, string) {
		code, said := readyz(ctx, opts.HealthAddr, "")
		return code == http.StatusServiceUnavailable && strings.Contains(said, "[-]draining failed"), fmt.Sprint(code, " ", said)
	})
	asked := 0
	for began := time.Now(); time.Since(began) < opts.DrainTime-time.Second; asked++ {
		if err := tries(t.Context(), e.client, good()); err != nil {
			t.Errorf("what conforms, %s into the drain: %v", time.Since(began), err)
		}
		if err := tries(t.Context(), e.client, bad()); err == nil || !strings.Contains(err.Error(), "a budget is missing") {
			t.Errorf("what violates, %s into the drain: %v", time.Since(began), err)
		}
	}
	t.Logf("%d requests of each kind were judged after the Lease was lost", asked)
	select {
	case err := <-r.done:
		if err == nil || err.Error() != "leader election lost" {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
	if got := holder(t.Context(), e); got != "robber" {
		t.Errorf("%q holds the Lease that was lost to another", got)
	}
}

// readyz is what a replica says of its readiness, of one check where that is named; the code is
// 0 where nobody answers.
func readyz(ctx context.Context, addr, check string) (code int, said string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/readyz/"+check, http.NoBody)
	if err != nil {
		return 0, err.Error()
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, fmt.Sprint(string(body), err)
}

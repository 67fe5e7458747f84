package lockout_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/recovery"
)

// seen is what was tried while something went on.
type seen struct {
	// cut are those of the refused that the connection to the webhook ended under.
	conforming, conformingRefused, cut int
	last                               error
}

// watch tries over and over what violates the rules and what conforms to them, and
// whether the entry of the rule with references is there, until it is stopped. What
// violates must never be admitted.
func (e *env) watch(t *testing.T) (stop func() seen) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	again := func(do func(context.Context)) {
		all.Go(func() {
			ticker := time.NewTicker(50 * time.Millisecond)
			defer ticker.Stop()
			for {
				do(ctx)
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
				}
			}
		})
	}
	again(func(ctx context.Context) {
		e.violates(ctx, t, "bad settings", []string{kept, everything}, func() error { return e.client.Create(ctx, badSettings("watched"), client.DryRunAll) })
	})
	again(func(ctx context.Context) {
		e.violates(ctx, t, "a Deployment without a budget", nil, func() error {
			return e.client.Create(ctx, builders.MakeDeployment(guarded, "unbudgeted").Obj(), client.DryRunAll)
		})
	})
	again(func(ctx context.Context) {
		var config admissionregistrationv1.ValidatingWebhookConfiguration
		if e.client.Get(ctx, client.ObjectKey{Name: configuration}, &config) == nil && !slices.ContainsFunc(config.Webhooks, func(entry admissionregistrationv1.ValidatingWebhook) bool {
			return *entry.FailurePolicy == admissionregistrationv1.Fail
		}) {
			t.Errorf("the entry of a rule in force is gone at generation %d", config.Generation)
		}
	})
	var out seen
	again(func(ctx context.Context) {
		err := e.client.Create(ctx, builders.MakeDeployment(guarded, "budgeted").Obj(), client.DryRunAll)
		if ctx.Err() != nil || err != nil && recovery.Unreached(err) {
			return
		}
		out.conforming++
		if err != nil {
			out.conformingRefused++
			out.last = err
			if strings.Contains(err.Error(), "failed calling webhook") {
				out.cut++
			}
		}
	})
	stopped := sync.OnceFunc(func() {
		cancel()
		all.Wait()
	})
	t.Cleanup(stopped)
	return func() seen {
		stopped()
		return out
	}
}

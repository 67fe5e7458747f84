package lockout_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/recovery"
	"github.com/mainstay-dev/mainstay/test/replicas"
)

// TestNobodyAnswers has what becomes of a fail-closed webhook that does not answer, or
// whose answer does not count.
func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	e := start(t, replicas.Options{})
	t.Run("attended", func(t *testing.T) {
		e.triesEveryKind(t)
		e.holds(t, expected{})
	})
	t.Run("all replicas wedged", e.wedged)
	t.Run("the leader alone is wedged", e.oneWedged)
	t.Run("a Service without endpoints", e.noEndpoints)
	t.Run("a Service that leads nowhere", e.blackHole)
	t.Run("a certificate that has expired is served", func(t *testing.T) {
		e.impostor(t, e.authority(t).serving(t, time.Now().Add(-time.Minute)))
	})
	t.Run("a certificate of another CA is served", func(t *testing.T) {
		e.impostor(t, newAuthority(t, time.Now().Add(time.Hour)).serving(t, time.Now().Add(time.Hour)))
	})
	t.Run("the Secret with the CA is deleted", e.caLost)
	t.Run("zero pods", e.zeroPods)
	t.Run("the certificate expired while nobody was there", e.expiredMeanwhile)
	t.Run("the bundle is that of another CA", e.anotherBundle)
	t.Run("entries of an older version that nobody serves", e.staleEntries)
}

// triesEveryKind fails where the API server serves a kind that can be in a namespace and
// is not among what is tried on the recovery path.
func (e *env) triesEveryKind(t *testing.T) {
	t.Helper()
	kinds, err := recovery.Kinds("a", "b")
	if err != nil {
		t.Fatal(err)
	}
	inside, err := recovery.Namespaced("a", "b")
	if err != nil {
		t.Fatal(err)
	}
	tried := map[string]bool{}
	for _, obj := range append(kinds, inside...) {
		gvk := obj.GroupVersionKind()
		tried[gvk.Group+"/"+gvk.Kind] = true
	}
	served, err := discovery.NewDiscoveryClientForConfigOrDie(e.Config()).ServerPreferredResources()
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range served {
		group, _, found := strings.Cut(list.GroupVersion, "/")
		if !found {
			group = ""
		}
		for _, resource := range list.APIResources {
			// A pod is bound by its subresource; Interventions are claims of Mainstay's.
			if !resource.Namespaced || resource.Kind == "Binding" || resource.Kind == "Intervention" {
				continue
			}
			if !tried[group+"/"+resource.Kind] {
				t.Errorf("the API server serves %s of %q, which no walk of the recovery path tries", resource.Kind, group)
			}
		}
	}
}

func (e *env) each(t *testing.T, do func(*replicas.Replica) error) {
	t.Helper()
	for _, r := range e.replicas.Running() {
		if err := do(r); err != nil {
			t.Fatal(err)
		}
	}
}

func (e *env) wedged(t *testing.T) {
	e.each(t, (*replicas.Replica).Pause)
	e.holds(t, expected{unserved: true})
	e.each(t, (*replicas.Replica).Resume)
	e.inForce(t)
}

// oneWedged: a connection of the API server stays with the replica that it leads to, ready
// or not, until a call on it is out of time or the replica's kubelet starts it anew.
func (e *env) oneWedged(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	leader, err := e.replicas.AwaitLeader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := leader.Pause(); err != nil {
		t.Fatal(err)
	}
	e.holds(t, expected{unserved: true, partly: true})
	eventually(t, "the other replica serves", func(ctx context.Context) error {
		return e.client.Create(ctx, builders.MakeDeployment(guarded, "budgeted").Obj(), client.DryRunAll)
	})
	if err := leader.Crash(); err != nil {
		t.Fatal(err)
	}
	e.inForce(t)
}

func (e *env) noEndpoints(t *testing.T) {
	e.replicas.Front().Refuse()
	e.holds(t, expected{unserved: true})
	e.replicas.Front().Restore()
	e.inForce(t)
}

func (e *env) blackHole(t *testing.T) {
	e.replicas.Front().BlackHole()
	e.holds(t, expected{unserved: true})
	e.replicas.Front().Restore()
	e.inForce(t)
}

func (e *env) impostor(t *testing.T, serving tls.Certificate) {
	t.Helper()
	e.replicas.Front().Divert(impostor(t, serving).Listener.Addr().String())
	e.holds(t, expected{unserved: true})
	e.replicas.Front().Restore()
	e.inForce(t)
}

// caLost is one more rotation: nothing is refused for it.
func (e *env) caLost(t *testing.T) {
	before := e.secret(t)
	stop := e.watch(t)
	if err := e.client.Delete(t.Context(), before.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	e.holds(t, expected{})
	eventually(t, "there is another CA, and the entries trust it", func(ctx context.Context) error {
		var now corev1.Secret
		if err := e.client.Get(ctx, client.ObjectKeyFromObject(before), &now); err != nil {
			return err
		}
		if string(now.Data[keyCA]) == string(before.Data[keyCA]) {
			return errors.New("the CA is the one that was deleted")
		}
		for _, entry := range e.webhooks(t).Webhooks {
			if !strings.HasPrefix(string(entry.ClientConfig.CABundle), string(now.Data[keyCA])) {
				return fmt.Errorf("%s does not trust the new CA", entry.Name)
			}
		}
		return nil
	})
	if seen := stop(); seen.conformingRefused > 0 || seen.conforming == 0 {
		t.Errorf("%d of %d requests that conform were refused: %v", seen.conformingRefused, seen.conforming, seen.last)
	}
	e.inForce(t)
}

func (e *env) zeroPods(t *testing.T) {
	if err := e.replicas.Kill(); err != nil {
		t.Fatal(err)
	}
	e.holds(t, expected{unserved: true})
	stop := e.watch(t) // a leader that is new to all of it opens nothing
	e.run(t, "mainstay-2", "mainstay-3")
	e.inForce(t)
	stop()
}

// expiredMeanwhile: CA and certificate end while no pod is there to renew them.
func (e *env) expiredMeanwhile(t *testing.T) {
	if err := e.replicas.Kill(); err != nil {
		t.Fatal(err)
	}
	ended := time.Now().Add(-time.Minute)
	ca := newAuthority(t, ended)
	secret := e.secret(t)
	secret.Data = ca.data(t, ca.serving(t, ended))
	if err := e.client.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	e.applyWebhooks(t, func(entries []admissionregistrationv1.ValidatingWebhook) []admissionregistrationv1.ValidatingWebhook {
		for i := range entries {
			entries[i].ClientConfig.CABundle = ca.bundle()
		}
		return entries
	})
	e.holds(t, expected{unserved: true})
	e.run(t, "mainstay-4", "mainstay-5")
	e.inForce(t)
}

// anotherBundle is what a backup brings back, or somebody's hand: it is theirs, and
// reported with the command that gives it back.
func (e *env) anotherBundle(t *testing.T) {
	config := e.webhooks(t)
	for i := range config.Webhooks {
		config.Webhooks[i].ClientConfig.CABundle = newAuthority(t, time.Now().Add(time.Hour)).bundle()
	}
	if err := e.client.Update(t.Context(), config, client.FieldOwner("backup")); err != nil {
		t.Fatal(err)
	}
	e.holds(t, expected{unserved: true})
	e.suspend(t, true, budgeted, asked)
	eventually(t, "rules that are suspended refuse nothing", func(ctx context.Context) error {
		return e.client.Create(ctx, builders.MakeDeployment(guarded, "unbudgeted").Obj(), client.DryRunAll)
	})
	e.suspend(t, false, budgeted, asked)
	command := ""
	eventually(t, "the rule reports the conflict", func(ctx context.Context) error {
		var rule v1alpha1.ClusterRule
		if err := e.client.Get(ctx, client.ObjectKey{Name: budgeted}, &rule); err != nil {
			return err
		}
		said := meta.FindStatusCondition(rule.Status.Conditions, v1alpha1.ConditionEnforced)
		if said == nil || said.Reason != v1alpha1.ReasonConflict {
			return fmt.Errorf("it says %+v", said)
		}
		_, command, _ = strings.Cut(said.Message, "kubectl ")
		return nil
	})
	args := strings.Fields(strings.ReplaceAll(command, "'", ""))
	if out, err := e.Kubectl(t.Context(), args...); err != nil {
		t.Fatalf("kubectl %s: %v\n%s", command, err, out)
	}
	e.inForce(t)
}

// suspend takes rules out, or back in.
func (e *env) suspend(t *testing.T, suspended bool, names ...string) {
	t.Helper()
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"suspend":%t}}`, suspended))
	for _, name := range names {
		rule := &v1alpha1.ClusterRule{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := e.client.Patch(t.Context(), rule, patch); err != nil {
			t.Fatal(err)
		}
	}
}

// staleEntries is a configuration that an older version left, with every pod dead: the
// first replica of this one does away with what it does not serve.
func (e *env) staleEntries(t *testing.T) {
	if err := e.replicas.Kill(); err != nil {
		t.Fatal(err)
	}
	const stale = "of-an-older-version.rules.mainstay.dev"
	e.applyWebhooks(t, func(entries []admissionregistrationv1.ValidatingWebhook) []admissionregistrationv1.ValidatingWebhook {
		old := entries[0].DeepCopy()
		for _, entry := range entries {
			if *entry.FailurePolicy == admissionregistrationv1.Fail {
				old = entry.DeepCopy()
			}
		}
		path := e.replicas.Front().URL() + "/admit/of-an-older-version"
		old.Name, old.ClientConfig.URL = stale, &path
		old.Rules = []admissionregistrationv1.RuleWithOperations{{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"serviceaccounts"}},
		}}
		return append(entries, *old)
	})
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: guarded, Name: "an-account"}}
	eventually(t, "the old entry is in force", func(ctx context.Context) error {
		return refusedBy(e.client.Create(ctx, account.DeepCopy(), client.DryRunAll), stale)
	})
	e.holds(t, expected{unserved: true})
	e.run(t, "mainstay-6", "mainstay-7")
	eventually(t, "the old entry is gone", func(ctx context.Context) error {
		for _, entry := range e.webhooks(t).Webhooks {
			if entry.Name == stale {
				return fmt.Errorf("%s is there", stale)
			}
		}
		return e.client.Create(ctx, account.DeepCopy(), client.DryRunAll)
	})
	e.inForce(t)
}

// applyWebhooks changes the entries as Mainstay itself would, and waits until the API
// server goes by them.
func (e *env) applyWebhooks(t *testing.T, change func([]admissionregistrationv1.ValidatingWebhook) []admissionregistrationv1.ValidatingWebhook) {
	t.Helper()
	config := e.webhooks(t)
	want := &admissionregistrationv1.ValidatingWebhookConfiguration{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionregistrationv1.SchemeGroupVersion.String(), Kind: "ValidatingWebhookConfiguration"},
		ObjectMeta: metav1.ObjectMeta{Name: config.Name, OwnerReferences: config.OwnerReferences},
		Webhooks:   change(config.Webhooks),
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(want)
	if err != nil {
		t.Fatal(err)
	}
	err = e.client.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(&unstructured.Unstructured{Object: content}), client.FieldOwner("mainstay"))
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
}

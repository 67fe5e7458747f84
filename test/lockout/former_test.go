package lockout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/replicas"
)

// formerLeader is paused with something to write, and goes on when its successor has written
// something else. Until it finds that it cannot renew the Lease both act as leaders: it is
// the successor's webhook configuration that stays.
func (e *env) formerLeader(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	goes, comes := ownEntry("goes"), ownEntry("comes")
	e.create(t, goes)
	e.enforced(t, goes.Name)
	former, outdated := e.pauseBusy(ctx, t)
	eventually(t, "another one leads", func(ctx context.Context) error {
		leader, err := e.replicas.Leader(ctx)
		if err == nil && (leader == nil || leader == former) {
			return errors.New("nobody else does")
		}
		return err
	})
	e.create(t, comes)
	e.remove(t, append(outdated, goes)...)
	e.enforced(t, comes.Name)
	eventually(t, "the entries are as the successor has them", func(context.Context) error {
		if config := e.webhooks(t); has(config, append(outdated, goes)...) || !has(config, comes) {
			return fmt.Errorf("the entries are %v", names(config))
		}
		return nil
	})

	stop := e.watch(t)
	want, changes := names(e.webhooks(t)), e.changes(t)
	starts := former.Starts()
	if err := former.Resume(); err != nil {
		t.Fatal(err)
	}
	e.holds(t, expected{unserved: true, partly: true}) // it ends with whatever it was asked
	eventually(t, "the former leader has found out, and begun anew", func(context.Context) error {
		if former.Starts() == starts {
			return errors.New("it goes on")
		}
		return e.replicas.Ready(ctx, former)
	})
	// What an entry asks about changes with the kinds of the walk, and which there are does not.
	for _, config := range changes() {
		if got := names(config); !slices.Equal(got, want) {
			t.Errorf("the entries were %v at generation %d, want %v", got, config.Generation, want)
		}
	}
	stop()
	e.remove(t, comes)
	e.inForce(t)
}

// pauseBusy pauses the leader between what it has seen and what it writes of it: it gathers
// for 200 ms. It returns rules that are new, the last of which it has not written.
func (e *env) pauseBusy(ctx context.Context, t *testing.T) (*replicas.Replica, []*v1alpha1.ClusterRule) {
	t.Helper()
	var rules []*v1alpha1.ClusterRule
	for range 10 {
		leader, err := e.replicas.AwaitLeader(ctx)
		if err != nil {
			t.Fatal(err)
		}
		// While the last one is created the leader sees the first.
		const some = 5
		for range some {
			rule := ownEntry(fmt.Sprintf("unwritten-%d", len(rules)))
			e.create(t, rule)
			rules = append(rules, rule)
		}
		if err := leader.Pause(); err != nil {
			t.Fatal(err)
		}
		if !has(e.webhooks(t), rules[len(rules)-some:]...) {
			return leader, rules
		}
		if err := leader.Resume(); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the leader always writes first")
	return nil, nil
}

// ownEntry is a rule that fails closed and has an entry for itself, which asks about objects
// with a label of its name: there are none.
func ownEntry(name string) *v1alpha1.ClusterRule {
	rule := budgetedRule()
	rule.Name = name
	rule.Spec.MatchConstraints.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"entry": name}}
	return rule
}

// remove deletes rules.
func (e *env) remove(t *testing.T, rules ...*v1alpha1.ClusterRule) {
	t.Helper()
	for _, rule := range rules {
		if err := e.client.Delete(t.Context(), rule); err != nil {
			t.Fatal(err)
		}
	}
}

// has says whether the entry of one of such rules is there.
func has(config *admissionregistrationv1.ValidatingWebhookConfiguration, rules ...*v1alpha1.ClusterRule) bool {
	return slices.ContainsFunc(rules, func(rule *v1alpha1.ClusterRule) bool {
		return slices.ContainsFunc(config.Webhooks, func(entry admissionregistrationv1.ValidatingWebhook) bool {
			return equality.Semantic.DeepEqual(entry.ObjectSelector, rule.Spec.MatchConstraints.ObjectSelector)
		})
	})
}

// names are the entries of a configuration, with whom they are about and what becomes of it
// where nobody answers.
func names(config *admissionregistrationv1.ValidatingWebhookConfiguration) []string {
	var out []string
	for _, entry := range config.Webhooks {
		out = append(out, fmt.Sprintf("%s (%s, %s)", entry.Name, metav1.FormatLabelSelector(entry.ObjectSelector), *entry.FailurePolicy))
	}
	slices.Sort(out)
	return out
}

// changes are all that the configuration is from now on, until it is stopped.
func (e *env) changes(t *testing.T) (stop func() []*admissionregistrationv1.ValidatingWebhookConfiguration) {
	t.Helper()
	c, err := kubernetes.NewForConfig(e.Config())
	if err != nil {
		t.Fatal(err)
	}
	now := e.webhooks(t)
	watching, err := c.AdmissionregistrationV1().ValidatingWebhookConfigurations().Watch(t.Context(), metav1.ListOptions{
		ResourceVersion: now.ResourceVersion, FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, configuration).String(),
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan []*admissionregistrationv1.ValidatingWebhookConfiguration, 1)
	go func() {
		var out []*admissionregistrationv1.ValidatingWebhookConfiguration
		for event := range watching.ResultChan() {
			if config, ok := event.Object.(*admissionregistrationv1.ValidatingWebhookConfiguration); ok {
				out = append(out, config)
			}
		}
		done <- out
	}()
	return func() []*admissionregistrationv1.ValidatingWebhookConfiguration {
		watching.Stop()
		return <-done
	}
}

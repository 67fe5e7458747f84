package manager_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/gate"
	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/cluster"
)

// lockedOut is a cluster in which one rule keeps ConfigMaps out of a namespace.
type lockedOut struct {
	*env
	rule, namespace string
	steps           map[string][]string
}

// Each command of docs/runbooks/locked-out.md does what the page says, with a replica
// at work and, where the page says so, with none.
func TestLockedOutRunbook(t *testing.T) {
	e := ownCluster(t, cluster.Options{Out: t.Output()})
	l := &lockedOut{env: e, rule: "has-an-owner"}
	l.namespace = e.namespace(t, nil)
	l.steps = l.commands(t)
	rule := builders.MakeClusterRule(l.rule).Modes(admission).Match("", "v1", "configmaps").
		Validate("has(object.metadata.labels) && 'owner' in object.metadata.labels", "no owner").Obj()
	e.create(t, rule)
	replica := e.startReplica(t, options("leads"))
	l.judged(t, "web", false)

	l.run(t, "One object")
	l.judged(t, "excepted", true)
	l.judged(t, "web", false)
	for _, command := range l.commandsOf(t, "One object") {
		if out, err := l.Kubectl(t.Context(), words(t, command)...); err == nil {
			t.Errorf("%s replaces the exceptions that there are: %s", command, out)
		}
	}
	l.run(t, "Where it has some")
	l.judged(t, "another", true)
	l.judged(t, "excepted", true)
	l.judged(t, "web", false)

	l.run(t, "One rule")
	l.judged(t, "web", true)
	edit(t, e, rule, func(r *v1alpha1.ClusterRule) { r.Spec.Suspend = false })
	l.judged(t, "web", false)

	client, err := kubernetes.NewForConfig(e.Config())
	if err != nil {
		t.Fatal(err)
	}
	opening := gate.Opening{Namespace: ownNamespace, Reason: "INC-4711", Out: t.Output()}
	if err := gate.Open(t.Context(), client, opening); err != nil {
		t.Fatal(err)
	}
	l.judged(t, "web", true)
	l.says(t, "mainstay-admin")
	if err := gate.Open(t.Context(), client, opening); err != nil {
		t.Errorf("opening twice: %v", err)
	}
	if err := gate.Close(t.Context(), client, ownNamespace, t.Output()); err != nil {
		t.Fatal(err)
	}
	l.judged(t, "web", false)

	replica.stop()
	<-replica.done
	l.judged(t, "web", false)
	l.run(t, "One namespace")
	l.judged(t, "web", true)
	if _, err := e.Kubectl(t.Context(), "label", "namespace", l.namespace, v1alpha1.LabelBypass+"-"); err != nil {
		t.Fatal(err)
	}
	l.judged(t, "web", false)

	l.run(t, "The same with")
	l.judged(t, "web", true)
	returned := e.startReplica(t, options("returns"))
	l.says(t, "somebody who left no name")
	l.judged(t, "web", true)
	l.run(t, "## Afterwards")
	l.judged(t, "web", false)
	if err := e.client.Delete(t.Context(), rule); err != nil {
		t.Fatal(err)
	}
	l.everythingDenied(t)
	returned.stop()
	<-returned.done
	l.elsewhere(t, client)
}

// everythingDenied: a rule that denies all that a rule can does not keep the gates shut,
// and a record where Mainstay is not says so.
func (l *lockedOut) everythingDenied(t *testing.T) {
	t.Helper()
	l.create(t, deniesAll().Obj())
	sue := l.administrator(t, "sue")
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		return refused(tries(ctx, sue, configMap(ownNamespace, "any")), "denies-all")
	})
	cfg, err := l.ConfigFor("sue", "system:authenticated")
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	err = gate.Open(ctx, client, gate.Opening{Namespace: "mainstay", Reason: "INC-4711", Out: t.Output()})
	if err == nil || !strings.Contains(err.Error(), "name it with --namespace") {
		t.Errorf("where Mainstay is not: %v", err)
	}
	if err := gate.Open(t.Context(), client, gate.Opening{Namespace: ownNamespace, Reason: "INC-4711", Out: t.Output()}); err != nil {
		t.Fatal(err)
	}
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		err := tries(ctx, sue, configMap(l.namespace, "any"))
		return err == nil, "refused"
	})
}

// elsewhere: a record that no controller of this Mainstay reads keeps nothing open, and
// whoever opens the gates hears of it.
func (l *lockedOut) elsewhere(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	none := admissionregistrationv1.SideEffectClassNone
	config := &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: gate.ConfigurationName}}
	entries := func(entries ...admissionregistrationv1.ValidatingWebhook) {
		edit(t, l.env, config, func(c *admissionregistrationv1.ValidatingWebhookConfiguration) { c.Webhooks = entries })
	}
	entries(admissionregistrationv1.ValidatingWebhook{
		Name: gate.OpenEntry, SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
		ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: "elsewhere", Name: "mainstay"}},
	})
	err := gate.Open(t.Context(), client, gate.Opening{Namespace: ownNamespace, Reason: "INC-4711", Out: t.Output()})
	if err == nil || !strings.Contains(err.Error(), "Once more, with --namespace elsewhere") {
		t.Errorf("a Mainstay of another namespace: %v", err)
	}
	entries()
}

// commands are those of the page, by the beginning of the paragraph before them.
func (l *lockedOut) commands(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "runbooks", "locked-out.md"))
	if err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("<rule>", l.rule, "<namespace>", l.namespace, "<object>", "excepted", "<another>", "another",
		"<expires>", time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	steps := map[string][]string{}
	title, begins := "", true
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case isCommand:
			steps[title] = append(steps[title], fill.Replace(command))
		case line == "":
			begins = true
		case begins && !strings.HasPrefix(line, "```"):
			title, begins = line, false
		}
	}
	return steps
}

// run executes the commands below the paragraph that begins like that.
func (l *lockedOut) run(t *testing.T, paragraph string) {
	t.Helper()
	for _, command := range l.commandsOf(t, paragraph) {
		if out, err := l.Kubectl(t.Context(), words(t, command)...); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
}

// commandsOf are those below the paragraph that begins like that.
func (l *lockedOut) commandsOf(t *testing.T, paragraph string) []string {
	t.Helper()
	for title, commands := range l.steps {
		if strings.HasPrefix(title, paragraph) {
			return commands
		}
	}
	t.Fatalf("the page has no command below %q, but %v", paragraph, l.steps)
	return nil
}

// words splits a command of kubectl's as a shell does with single and double quotes.
func words(t *testing.T, command string) []string {
	t.Helper()
	rest, ok := strings.CutPrefix(command, "kubectl ")
	if !ok {
		t.Fatalf("%q is no command of kubectl's", command)
	}
	var out []string
	var word strings.Builder
	quote := rune(0)
	for _, r := range rest + " " {
		switch {
		case r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote = r
		case quote == 0 && r == ' ':
			out = append(out, word.String())
			word.Reset()
		default:
			word.WriteRune(r)
		}
	}
	return out
}

// judged waits until a ConfigMap without an owner is let in, or kept out.
func (l *lockedOut) judged(t *testing.T, name string, admitted bool) {
	t.Helper()
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, Name: name}}
		err := l.client.Create(ctx, config)
		if err == nil {
			err := l.client.Delete(ctx, config)
			if err != nil {
				return false, err.Error()
			}
			return admitted, "admitted"
		}
		return !admitted && strings.Contains(err.Error(), l.rule), err.Error()
	})
}

// says waits until the rule says that it is not enforced, and who opened the gates.
func (l *lockedOut) says(t *testing.T, who string) {
	t.Helper()
	rule := &v1alpha1.ClusterRule{ObjectMeta: metav1.ObjectMeta{Name: l.rule}}
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		got, err := get(ctx, l.env, rule)
		if err != nil {
			return false, err.Error()
		}
		message := enforcedMessage(&got.Status)
		return enforcedIs(metav1.ConditionFalse, v1alpha1.ReasonUnlocked)(&got.Status) &&
			strings.Contains(message, who) && strings.Contains(message, "INC-4711"), message
	})
}

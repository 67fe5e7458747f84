package manager_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

// lockedOut is a cluster in which one rule keeps ConfigMaps out of a namespace, and one of the
// webhook Deployments.
type lockedOut struct {
	*env
	rule, namespace string
	// steps are the page's commands, and names what stands in them for something else.
	steps map[string][]string
	names map[string]string
	// onCall is the kubeconfig of somebody who has the rights that the page names for
	// opening all gates, and no other.
	onCall string
}

// onCallRights are those that the page and mainstay unlock --help name.
const onCallRights = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: on-call, namespace: mainstay-system}
rules:
- {apiGroups: [""], resources: [configmaps], verbs: [create, get, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: on-call, namespace: mainstay-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: on-call}
subjects: [{kind: User, name: on-call}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: on-call}
rules:
- {apiGroups: [admissionregistration.k8s.io], resources: [validatingadmissionpolicybindings], verbs: [list, delete]}
- apiGroups: [admissionregistration.k8s.io]
  resources: [validatingwebhookconfigurations]
  resourceNames: [mainstay]
  verbs: [get, patch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: on-call}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: on-call}
subjects: [{kind: User, name: on-call}]
`

// Each command of docs/runbooks/locked-out.md does what the page says, with a replica
// at work and, where the page says so, with none.
func TestLockedOutRunbook(t *testing.T) {
	e := ownCluster(t, cluster.Options{Out: t.Output()})
	l := &lockedOut{env: e, rule: "has-an-owner"}
	l.namespace = e.namespace(t, nil)
	l.steps = commands(t)
	l.names = map[string]string{
		"<rule>": l.rule, "<namespace>": l.namespace, "<object>": "excepted", "<another>": "another",
		"<expires>": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
	}
	l.apply(t, onCallRights)
	cfg, err := e.ConfigFor("on-call", "system:authenticated")
	if err != nil {
		t.Fatal(err)
	}
	l.onCall = writeKubeconfig(t, cfg)
	rule := builders.MakeClusterRule(l.rule).Modes(admission).Match("", "v1", "configmaps").
		Validate("has(object.metadata.labels) && 'owner' in object.metadata.labels", "no owner").Obj()
	e.create(t, rule, hasBudget("has-budget").Obj())
	replica := e.startReplica(t, withWebhook(t, "leads"))
	l.judged(t, "web", false)
	l.seen(t)

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

	l.run(t, "One rule:")
	l.judged(t, "web", true)
	edit(t, e, rule, func(r *v1alpha1.ClusterRule) { r.Spec.Suspend = false })
	l.judged(t, "web", false)

	l.unlocked(t, replica, 0)
	l.mainstay(t, "unlock", "--reason", "INC-4711")
	l.judged(t, "web", true)
	l.says(t, "on-call")
	l.unlocked(t, replica, 1)
	if out := l.mainstay(t, "unlock", "--reason", "again"); !strings.Contains(out, "is there already: opened by on-call") {
		t.Errorf("opened twice it says:\n%s", out)
	}
	l.mainstay(t, "lock")
	l.judged(t, "web", false)
	l.unlocked(t, replica, 0)

	l.nobodyAnswers(t, replica)
	l.oneRule(t, rule)
	l.run(t, "One namespace")
	l.judged(t, "web", true)
	if _, err := e.Kubectl(t.Context(), "label", "namespace", l.namespace, v1alpha1.LabelBypass+"-"); err != nil {
		t.Fatal(err)
	}
	l.judged(t, "web", false)

	l.runAs(t, l.onCall, "The same with")
	l.judged(t, "web", true)
	returned := e.startReplica(t, options("returns"))
	l.says(t, "somebody who left no name")
	l.judged(t, "web", true)
	l.unlocked(t, returned, 1)
	l.runAs(t, l.onCall, "## Afterwards")
	l.judged(t, "web", false)
	if err := e.client.Delete(t.Context(), rule); err != nil {
		t.Fatal(err)
	}
	l.everythingDenied(t)
	returned.stop()
	<-returned.done
	l.elsewhere(t)
}

// nobodyAnswers: with no pod alive the refusal names an entry, the page finds its rules, and
// takes out that entry alone.
func (l *lockedOut) nobodyAnswers(t *testing.T, last *replica) {
	t.Helper()
	web := builders.MakeDeployment(l.namespace, "web").Label("app", "web").Replicas(2).Obj()
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		return refused(tries(ctx, l.client, web), "ClusterRule has-budget: ")
	})
	last.stop()
	<-last.done
	err := tries(t.Context(), l.client, web)
	said := regexp.MustCompile(`failed calling webhook "([^"]+)"`).FindStringSubmatch(fmt.Sprint(err))
	if said == nil {
		t.Fatalf("nobody answers: %v", err)
	}
	l.names["<entry>"] = said[1]
	for _, command := range l.commandsOf(t, "Which rules are behind") {
		found := exec.CommandContext(t.Context(), "sh", "-c", command)
		found.Env = append(os.Environ(), "KUBECONFIG="+l.Kubeconfig(), "PATH="+filepath.Dir(l.KubectlPath())+":"+os.Getenv("PATH"))
		out, err := found.CombinedOutput()
		if got := string(out); err != nil || strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "ClusterRule /has-budget: ValidatingWebhookConfiguration mainstay, webhook "+said[1]) {
			t.Errorf("%s: %v\n%s", command, err, got)
		}
	}
	l.runAs(t, l.onCall, "Where nobody answers")
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		err := tries(ctx, l.client, web)
		return err == nil, fmt.Sprint(err)
	})
	config, err := configuration(t.Context(), l.env)
	if err != nil || len(config.Webhooks) != 1 || len(entries(config)) != 0 {
		t.Errorf("of the entries there are left %v, %v", config.Webhooks, err)
	}
}

// oneRule: with no pod alive a rule is taken out by its binding, which a controller that returns
// makes again unless the rule is suspended.
func (l *lockedOut) oneRule(t *testing.T, rule *v1alpha1.ClusterRule) {
	t.Helper()
	denies := func() error { return tries(t.Context(), l.client, configMap(l.namespace, "web")) }
	said := regexp.MustCompile(`with binding '([^']+)'`).FindStringSubmatch(fmt.Sprint(denies()))
	if said == nil {
		t.Fatalf("the denial names no binding: %v", denies())
	}
	l.names["<binding>"] = said[1]
	const step = "With no pod of Mainstay alive"
	l.run(t, "One rule:")
	if denies() == nil {
		t.Error("suspending alone opens it")
	}
	l.runAs(t, l.onCall, step)
	l.judged(t, "web", true)
	replica := l.startReplica(t, options("finds-it-suspended"))
	l.enforced(t, rule, metav1.ConditionFalse, v1alpha1.ReasonSuspended)
	l.judged(t, "web", true)
	edit(t, l.env, rule, func(r *v1alpha1.ClusterRule) { r.Spec.Suspend = false })
	l.judged(t, "web", false)
	replica.stop()
	<-replica.done
	l.runAs(t, l.onCall, step)
	l.judged(t, "web", true)
	replica = l.startReplica(t, options("makes-it-again"))
	l.judged(t, "web", false)
	replica.stop()
	<-replica.done
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
	l.webhooks(t, ownNamespace, "fail-everything.rules.mainstay.dev")
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
func (l *lockedOut) elsewhere(t *testing.T) {
	t.Helper()
	client, err := kubernetes.NewForConfig(l.Config())
	if err != nil {
		t.Fatal(err)
	}
	l.webhooks(t, "elsewhere", gate.OpenEntry)
	err = gate.Open(t.Context(), client, gate.Opening{Namespace: ownNamespace, Reason: "INC-4711", Out: t.Output()})
	if err == nil || !strings.Contains(err.Error(), "Once more, with --namespace elsewhere") {
		t.Errorf("a Mainstay of another namespace: %v", err)
	}
	l.webhooks(t, "elsewhere")
}

// webhooks has the webhook configuration have entries that are asked about nothing, and lead
// to a Mainstay of a namespace.
func (l *lockedOut) webhooks(t *testing.T, namespace string, names ...string) {
	t.Helper()
	config := &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: gate.ConfigurationName}}
	edit(t, l.env, config, func(c *admissionregistrationv1.ValidatingWebhookConfiguration) {
		c.Webhooks = nil
		for _, name := range names {
			c.Webhooks = append(c.Webhooks, admissionregistrationv1.ValidatingWebhook{
				Name: name, SideEffects: new(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
				ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: namespace, Name: "mainstay"}},
			})
		}
	})
}

// seen has the page show what kubectl prints of a denial.
func (l *lockedOut) seen(t *testing.T) {
	t.Helper()
	manifest := filepath.Join(t.TempDir(), "web.yaml")
	text := fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web, namespace: %s}\n", l.namespace)
	if err := os.WriteFile(manifest, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := l.Kubectl(t.Context(), "apply", "-f", manifest)
	if err == nil {
		t.Fatal("kubectl applied what is denied")
	}
	page, readErr := os.ReadFile(filepath.Join("..", "..", "..", "docs", "runbooks", "locked-out.md"))
	if readErr != nil {
		t.Fatal(readErr)
	}
	_, said, _ := strings.Cut(err.Error(), "The configmaps")
	want := "The deployments" + strings.NewReplacer(l.rule, "web-"+l.rule, "no owner", "…").Replace(said)
	if said == "" || !strings.Contains(strings.Join(strings.Fields(string(page)), " "), want) {
		t.Errorf("the page does not show what kubectl says: %v", err)
	}
}

// commands are those of the page, by the beginning of the paragraph before them.
func commands(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "runbooks", "locked-out.md"))
	if err != nil {
		t.Fatal(err)
	}
	steps := map[string][]string{}
	title, begins := "", true
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case isCommand:
			steps[title] = append(steps[title], command)
		case line == "":
			begins = true
		case begins && !strings.HasPrefix(line, "```"):
			title, begins = line, false
		}
	}
	return steps
}

// run executes the commands below the paragraph that begins like that, as the cluster's
// administrator.
func (l *lockedOut) run(t *testing.T, paragraph string) {
	t.Helper()
	l.runAs(t, l.Kubeconfig(), paragraph)
}

func (l *lockedOut) runAs(t *testing.T, kubeconfig, paragraph string) {
	t.Helper()
	for _, command := range l.commandsOf(t, paragraph) {
		if out, err := l.Kubectl(t.Context(), append(words(t, command), "--kubeconfig", kubeconfig)...); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
}

// mainstay runs the program as who is on call, and returns what it printed.
func (l *lockedOut) mainstay(t *testing.T, args ...string) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), path, append(args, "--kubeconfig", l.onCall)...).CombinedOutput()
	if err != nil {
		t.Fatalf("mainstay %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// unlocked waits until a replica's metric says whether all gates are open.
func (l *lockedOut) unlocked(t *testing.T, r *replica, want float64) {
	t.Helper()
	eventually(t, takeUp, func(context.Context) (bool, string) {
		families, err := r.registry.Gather()
		if err != nil {
			return false, err.Error()
		}
		for _, family := range families {
			if family.GetName() == "mainstay_unlocked" {
				got := family.GetMetric()[0].GetGauge().GetValue()
				return got == want, fmt.Sprintf("mainstay_unlocked is %v", got)
			}
		}
		return false, "there is no mainstay_unlocked"
	})
}

// commandsOf are those below the paragraph that begins like that, about what is in this cluster.
func (l *lockedOut) commandsOf(t *testing.T, paragraph string) []string {
	t.Helper()
	for title, commands := range l.steps {
		if !strings.HasPrefix(title, paragraph) {
			continue
		}
		var out []string
		for _, command := range commands {
			for word, name := range l.names {
				command = strings.ReplaceAll(command, word, name)
			}
			out = append(out, command)
		}
		return out
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

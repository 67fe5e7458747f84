package manager_test

import (
	"context"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/cluster"
)

// warnings are what an API server said beside its answers, to one request at a time.
type warnings []string

func (w *warnings) HandleWarningHeader(_ int, _, text string) { *w = append(*w, text) }

// Rules that warn and audit refuse nothing: who asks is warned, and the API server's audit
// log has the violation, from its own policy as from the webhook.
func TestWarnAndAuditReachWhoAsksAndTheAuditLog(t *testing.T) {
	t.Parallel()
	e := ownCluster(t, cluster.Options{Audit: true, Out: t.Output()})
	namespace := e.namespace(t, nil)
	told := func(name string) *builders.ClusterRuleBuilder {
		return builders.MakeClusterRule(name).Modes(admission).Match("", "v1", "configmaps").
			Actions(admissionregistrationv1.Warn, admissionregistrationv1.Audit)
	}
	inProcess := told("has-labels").Validate("has(object.metadata.labels)", "no labels").Obj()
	byWebhook := told("has-budgets").Refer("budgets", "policy/v1", "PodDisruptionBudget").Validate("refs.budgets.size() > 0", "no budgets").Obj()
	e.create(t, inProcess, byWebhook)
	e.startReplica(t, withWebhook(t, "judge"))
	for _, rule := range []*v1alpha1.ClusterRule{inProcess, byWebhook} {
		e.enforced(t, rule, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	}

	heard := &warnings{}
	cfg := e.Config()
	cfg.WarningHandler = heard
	c := e.clientOf(t, cfg)
	eventually(t, takeUp, func(ctx context.Context) (bool, string) {
		*heard = nil
		if err := tries(ctx, c, configMap(namespace, "plain")); err != nil {
			t.Fatalf("a rule that warns refuses: %v", err)
		}
		text := strings.Join(*heard, "\n")
		return strings.Contains(text, "ClusterRule has-labels: no labels (kubectl describe clusterrule has-labels)") &&
			strings.Contains(text, "ClusterRule has-budgets: no budgets (kubectl describe clusterrule has-budgets)"), text
	})

	events, err := e.AuditEvents()
	if err != nil {
		t.Fatal(err)
	}
	logged := map[string]string{}
	for i := range events {
		if ref := events[i].ObjectRef; ref != nil && ref.Namespace == namespace && ref.Name == "plain" {
			logged = events[i].Annotations
		}
	}
	for key, wants := range map[string][]string{
		"validation.policy.admission.k8s.io/validation_failure": {"no labels", `"policy":"mainstay-cr-has-labels"`},
		".rules.mainstay.dev/validation_failure":                {"no budgets", `"policy":"ClusterRule/has-budgets"`},
	} {
		value := ""
		for annotation, text := range logged {
			if strings.HasSuffix(annotation, key) {
				value = text
			}
		}
		for _, want := range append(wants, `"validationActions":["Warn","Audit"]`) {
			if !strings.Contains(value, want) {
				t.Errorf("the audit log has %q for …%s, want it with %s; it has %v", value, key, want, logged)
			}
		}
	}
}

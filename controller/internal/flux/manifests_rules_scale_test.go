package flux_test

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// A rule that runs out of its CEL budget says nothing about the object, so each
// has to fit with as many objects beside it as a large cluster has.
func TestRulePackFitsItsBudgetBeside500ObjectsOfEachKind(t *testing.T) {
	t.Parallel()
	const many = 500
	var text strings.Builder
	for i := range many {
		fmt.Fprintf(&text, "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: team-%[1]d, labels: {kubernetes.io/metadata.name: team-%[1]d, team: t%[1]d}}\n", i)
		fmt.Fprintf(&text, "---\napiVersion: v1\nkind: Node\nmetadata: {name: worker-%d}\n", i)
		fmt.Fprintf(&text, "---\napiVersion: v1\nkind: Service\nmetadata: {name: webhook-%d, namespace: policy}\n", i)
		fmt.Fprintf(&text, "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s%[1]d, namespace: policy, labels: {kubernetes.io/service-name: webhook-%[1]d}}\n"+
			"endpoints: [{nodeName: worker-1, conditions: {ready: true}}, {nodeName: worker-2, conditions: {ready: true}}]\n", i)
		fmt.Fprintf(&text, "---\n%s", pdb(fmt.Sprintf("p%d", i), fmt.Sprintf("maxUnavailable: 1, selector: {matchLabels: {app: app-%d}}", i)))
		fmt.Fprintf(&text, "---\n%s", deployment(fmt.Sprintf("app-%d", i), 2, flux, oneImage))
		fmt.Fprintf(&text, "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: c%d, namespace: flux-system}\nspec: {accessModes: [ReadWriteOnce]}\n", i)
		fmt.Fprintf(&text, "---\napiVersion: v1\nkind: LimitRange\nmetadata: {name: l%d, namespace: flux-system}\nspec: {limits: [{type: Pod, max: {memory: 1Gi}}]}\n", i)
		fmt.Fprintf(&text, "---\napiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: k%d}\nvalue: %d\n", i, i)
		fmt.Fprintf(&text, "---\napiVersion: v1\nkind: Pod\nmetadata: {name: operator-%d, namespace: flux-system, labels: {app: operator}}\n", i)
		fmt.Fprintf(&text, "---\napiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: l%[1]d, namespace: flux-system}\nspec: {holderIdentity: operator-x%[1]d}\n", i)
	}
	objects := builders.Objects(t, []byte(text.String()))

	pack := rulePack(t)
	const affinity = "affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, podAffinityTerm: {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: helm-controller}}}}]}}\n"
	operator := deployment("operator", 2, "control-plane: controller-manager", oneImage) + "status: {readyReplicas: 2}\n"
	for name, object := range map[string]string{
		"a standby":                  deployment("helm-controller", 2, flux, affinity+"volumes: [{name: a, persistentVolumeClaim: {claimName: c1}}]\npriorityClassName: k7\n"+oneImage),
		"a singleton":                deployment("source-controller", 1, flux, oneImage),
		"flux-operator":              deployment("flux-operator", 2, "app.kubernetes.io/name: flux-operator", oneImage),
		"somebody's controller":      operator,
		"20 webhooks of 20 rules":    webhooks(20, 20, exceptThem),
		"60 webhooks of one rule":    webhooks(60, 1, ", namespaceSelector: {matchLabels: {team: t7}}"),
		"one webhook over all there": webhookOf(onAll + closed),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			judged := builders.Objects(t, []byte(object))[0]
			evaluated := 0
			for ruleName, finding := range auditOne(t, pack, judged, append([]*unstructured.Unstructured{judged}, objects...)) {
				evaluated++
				if finding.Outcome == v1alpha1.OutcomeError {
					t.Errorf("%s: %s", ruleName, finding.Message)
				}
			}
			if evaluated == 0 {
				t.Error("no rule was evaluated")
			}
		})
	}
}

// webhooks is a configuration of so many webhooks with so many rules each.
func webhooks(count, rules int, fields string) string {
	var text strings.Builder
	text.WriteString("apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\nmetadata: {name: policy}\nwebhooks:\n")
	for i := range count {
		fmt.Fprintf(&text, "- {name: w%[1]d.policy.io, failurePolicy: Fail, clientConfig: {service: {namespace: policy, name: webhook-%[1]d}}%[2]s, rules: [", i, fields)
		for j := range rules {
			fmt.Fprintf(&text, "{apiGroups: [\"\", apps, batch], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [a%d, b, c, d, pods, deployments, jobs, configmaps]}, ", j)
		}
		text.WriteString("]}\n")
	}
	return text.String()
}

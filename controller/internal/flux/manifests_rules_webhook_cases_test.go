package flux_test

import "strings"

// webhookOf is a ValidatingWebhookConfiguration of one webhook, with more of its
// fields as YAML flow.
func webhookOf(fields string) string {
	return "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {name: policy}\n" +
		"webhooks: [{name: check.policy.io, clientConfig: {service: {namespace: policy, name: webhook}}, " + fields + "}]\n"
}

const (
	onPods     = "rules: [{apiGroups: [\"\"], apiVersions: [v1], operations: [CREATE], resources: [pods], scope: Namespaced}]"
	onAll      = "rules: [{apiGroups: [\"*\"], apiVersions: [\"*\"], operations: [\"*\"], resources: [\"*/*\"]}]"
	closed     = ", failurePolicy: Fail"
	exceptThem = ", namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [flux-system, kube-node-lease, kube-public, kube-system, mainstay-system]}]}"
)

func recoveryWebhookCases() map[string]ruleCase {
	on := func(fields, message string, others ...string) ruleCase {
		return ruleCase{rule: "webhook-spares-the-recovery-path", object: webhookOf(fields), others: others, wantMessage: message}
	}
	rules := func(group, resource string) string {
		return "rules: [{apiGroups: [\"" + group + "\"], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [\"" + resource + "\"]}]"
	}
	namespace := func(name, labels string) string {
		return "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + name + ", labels: {kubernetes.io/metadata.name: " + name + labels + "}}\n"
	}
	mutating := on(onPods+closed, "MutatingWebhookConfiguration policy: webhook check.policy.io is fail-closed")
	mutating.object = strings.Replace(mutating.object, "Validating", "Mutating", 1)
	const (
		everywhere = "webhook check.policy.io is fail-closed and covers pods in flux-system, kube-node-lease, kube-public, kube-system, mainstay-system, so while"
		optIn      = ", namespaceSelector: {matchLabels: {policy: enabled}}"
		optOut     = ", namespaceSelector: {matchExpressions: [{key: policy, operator: NotIn, values: [disabled]}]}"
	)
	return map[string]ruleCase{
		"a fail-closed webhook on pods everywhere is reported":   on(onPods+closed, "ValidatingWebhookConfiguration policy: "+everywhere),
		"so is one that changes objects":                         mutating,
		"without a failurePolicy Fail is meant":                  on(onPods, everywhere),
		"an empty namespaceSelector selects all":                 on(onPods+closed+", namespaceSelector: {}", everywhere),
		"a webhook that lets requests pass is right":             on(onPods+", failurePolicy: Ignore", ""),
		"a webhook that leaves them out is right":                on(onPods+closed+exceptThem, ""),
		"one that leaves out kube-system alone names the others": on(onPods+closed+", namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system]}]}", "covers pods in flux-system, kube-node-lease, kube-public, mainstay-system, so"),
		"namespaces that opt in are those with the label": on(onPods+closed+optIn, "covers pods in kube-system, so",
			namespace("kube-system", ", policy: enabled"), namespace("shop", ", policy: enabled")),
		"namespaces that opt in and none of these among them": on(onPods+closed+optIn, "", namespace("kube-system", ""), namespace("shop", ", policy: enabled")),
		"namespaces that opt out are those with the label": on(onPods+closed+optOut, "covers pods in kube-node-lease, kube-public, kube-system, mainstay-system",
			namespace("flux-system", ", policy: disabled")),
		"objects that opt in are not judged":              on(onPods+closed+", objectSelector: {matchLabels: {inject: \"true\"}}", ""),
		"objects that opt out are":                        on(onPods+closed+", objectSelector: {matchExpressions: [{key: skip, operator: DoesNotExist}]}", everywhere),
		"matchConditions are not looked into":             on(onPods+closed+", matchConditions: [{name: x, expression: \"true\"}]", "mainstay-system (unless its matchConditions, which are not looked into, leave them out), so"),
		"a kind of its own is its own affair":             on(rules("policy.io", "policies")+closed, ""),
		"a webhook on exec is no matter":                  on("rules: [{apiGroups: [\"\"], apiVersions: [v1], operations: [CONNECT], resources: [\"pods/*\"]}]"+closed, ""),
		"a webhook without rules covers nothing":          on("failurePolicy: Fail", ""),
		"Flux's own kinds are among what mends":           on(rules("kustomize.toolkit.fluxcd.io", "*")+closed, "covers kustomizations.kustomize.toolkit.fluxcd.io in flux-system"),
		"a wildcard is cut after four":                    on(onAll+closed, "covers pods, services, configmaps, secrets and 29 more in flux-system"),
		"nodes are left out by no namespaceSelector":      on(rules("", "nodes")+closed+exceptThem, "is fail-closed and covers nodes, which belong to no namespace"),
		"neither is the status of nodes":                  on(rules("", "nodes/status")+closed+exceptThem, "covers nodes/status, which belong to no namespace"),
		"neither are CRDs":                                on(rules("apiextensions.k8s.io", "customresourcedefinitions")+closed+exceptThem, "covers customresourcedefinitions.apiextensions.k8s.io, which belong to no namespace"),
		"all resources of Namespaced scope have no nodes": on("rules: [{apiGroups: [\"\"], apiVersions: [v1], operations: [\"*\"], resources: [\"*\"], scope: Namespaced}]"+closed+exceptThem, ""),
		"bindings of pods are written everywhere":         on(rules("", "pods/binding")+closed+exceptThem, "covers pods/binding, which the control plane itself writes", namespace("shop", "")),
		"so is every status":                              on(rules("*", "*/status")+closed+", namespaceSelector: {matchLabels: {policy: enabled}}", "covers nodes/status", namespace("shop", ", policy: enabled")),
		"bindings of pods where nobody opted in":          on(rules("", "pods/binding")+closed+optIn, "", namespace("shop", "")),
		"Namespaces are left out by their own labels":     on(rules("", "namespaces")+closed+optIn, "", namespace("kube-system", "")),
		"new Namespaces are not":                          on(rules("", "namespaces")+closed+exceptThem, "is fail-closed and covers namespaces, so while its backend is gone none can be created"),
		"more findings on one configuration are counted":  on(onAll+closed, "(and 3 more)"),
	}
}

func webhookBackendCases() map[string]ruleCase {
	const (
		service   = "apiVersion: v1\nkind: Service\nmetadata: {name: webhook, namespace: policy}\n"
		first     = "apiVersion: v1\nkind: Node\nmetadata: {name: worker-1}\n"
		second    = "apiVersion: v1\nkind: Node\nmetadata: {name: worker-2}\n"
		onOne     = "{addresses: [10.0.0.1], nodeName: worker-1, conditions: {ready: true}}"
		onTwo     = "{addresses: [10.0.0.2], nodeName: worker-2, conditions: {ready: true}}"
		unready   = "{addresses: [10.0.0.3], nodeName: worker-2, conditions: {ready: false}}"
		unplaced  = "{addresses: [192.0.2.1]}"
		together  = "ValidatingWebhookConfiguration policy: webhook check.policy.io is fail-closed and all ready backends of its Service policy/webhook are on node worker-1, whose loss"
		noBackend = "its Service policy/webhook has no ready backend"
	)
	slice := func(name, of, endpoints string) string {
		return "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: " + name + ", namespace: policy, labels: {kubernetes.io/service-name: " + of + "}}\nendpoints: " + endpoints + "\n"
	}
	on := func(fields, message string, others ...string) ruleCase {
		return ruleCase{rule: "webhook-outlives-a-worker", object: webhookOf(fields), others: others, wantMessage: message}
	}
	byURL := on("failurePolicy: Fail", "")
	byURL.object = strings.Replace(byURL.object, "service: {namespace: policy, name: webhook}", "url: \"https://policy.example/\"", 1)
	return map[string]ruleCase{
		"backends on two nodes are right":                      on("failurePolicy: Fail", "", service, first, second, slice("a", "webhook", "["+onOne+", "+onTwo+"]")),
		"backends in two slices are counted together":          on("failurePolicy: Fail", "", service, first, second, slice("a", "webhook", "["+onOne+"]"), slice("b", "webhook", "["+onTwo+"]")),
		"all backends on one node are reported":                on("failurePolicy: Fail", together, service, first, second, slice("a", "webhook", "["+onOne+", "+onOne+"]")),
		"in two slices, too":                                   on("failurePolicy: Fail", together, service, first, second, slice("a", "webhook", "["+onOne+"]"), slice("b", "webhook", "["+onOne+"]")),
		"a backend that is not ready is none":                  on("failurePolicy: Fail", together, service, first, second, slice("a", "webhook", "["+onOne+", "+unready+"]")),
		"backends of another Service are none":                 on("failurePolicy: Fail", together, service, first, second, slice("a", "webhook", "["+onOne+"]"), slice("b", "other", "["+onTwo+"]")),
		"with one node there is nowhere else":                  on("failurePolicy: Fail", "", service, first, slice("a", "webhook", "["+onOne+"]")),
		"backends outside of the nodes are not judged":         on("failurePolicy: Fail", "", service, first, second, slice("a", "webhook", "["+unplaced+"]")),
		"no ready backend is reported":                         on("failurePolicy: Fail", noBackend, service, first, second, slice("a", "webhook", "["+unready+"]")),
		"a slice without endpoints has no backend":             on("failurePolicy: Fail", noBackend, service, first, second, slice("a", "webhook", "null")),
		"a Service that has no slice is not judged":            on("failurePolicy: Fail", "", service, first, second),
		"a Service that is gone is reported":                   on("failurePolicy: Fail", "its Service policy/webhook does not exist, so every request", first, second),
		"a webhook that lets requests pass may be on one node": on("failurePolicy: Ignore", "", service, first, second, slice("a", "webhook", "["+onOne+"]")),
		"a webhook that is reached by address is not judged":   byURL,
	}
}

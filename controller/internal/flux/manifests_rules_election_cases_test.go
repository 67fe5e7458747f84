package flux_test

import "fmt"

func electionCases() map[string]ruleCase {
	const (
		manager   = "control-plane: controller-manager"
		off       = "containers: [{name: manager, image: x, args: [--metrics-addr=:8080, --leader-elect=false]}]"
		on        = "containers: [{name: manager, image: x, args: [--leader-elect]}]"
		byEnv     = "containers: [{name: manager, image: x, env: [{name: ENABLE_LEADER_ELECTION, value: \"false\"}]}]"
		ready     = "\nstatus: {readyReplicas: 2}"
		rule      = "scaled-past-one-without-leader-election"
		unelected = "none of whose pods holds a Lease"
	)
	pod := "apiVersion: v1\nkind: Pod\nmetadata: {name: operator-7d9c5-abcde, namespace: flux-system, labels: {app: operator}}\n"
	lease := func(namespace, holder string) string {
		return fmt.Sprintf("apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: lock, namespace: %s}\nspec: {holderIdentity: %s}\n", namespace, holder)
	}
	webLease := lease("kube-node-lease", "worker-1")
	return map[string]ruleCase{
		"a web server with three replicas is left alone": {
			rule: rule, object: deployment("web", 3, "app.kubernetes.io/name: web", oneImage) + "status: {readyReplicas: 3}",
			others: []string{webLease}, wantUnmatched: true,
		},
		"election switched off by an argument": {
			rule: rule, object: deployment("operator", 2, "x: y", off),
			wantMessage: "Deployment flux-system/operator has 2 replicas and leader election switched off",
		},
		"election switched off by an environment variable": {
			rule: rule, object: deployment("operator", 2, "x: y", byEnv), wantMessage: "leader election switched off",
		},
		"election switched off with one replica": {
			rule: rule, object: deployment("operator", 1, "x: y", off), wantUnmatched: true,
		},
		"election switched on": {
			rule: rule, object: deployment("operator", 2, manager, on) + ready, wantUnmatched: true,
		},
		"switched off, but one of its pods holds a Lease": {
			rule: rule, object: deployment("operator", 2, "x: y", off), others: []string{pod, lease("flux-system", "operator-7d9c5-abcde")},
		},
		"a controller that says nothing and holds no Lease": {
			rule: rule, object: deployment("operator", 2, manager, oneImage) + ready, others: []string{pod, webLease}, wantMessage: unelected,
		},
		"a controller that says nothing and holds a Lease": {
			rule: rule, object: deployment("operator", 2, manager, oneImage) + ready, others: []string{pod, lease("flux-system", "operator-7d9c5-abcde_0b1c")},
		},
		"a Lease in another namespace is one too": {
			rule: rule, object: deployment("operator", 2, manager, oneImage) + ready, others: []string{pod, lease("kube-system", "operator-7d9c5-abcde_0b1c")},
		},
		"a Lease that a pod which is gone holds is none": {
			rule: rule, object: deployment("operator", 2, manager, oneImage) + ready,
			others: []string{pod, lease("flux-system", "operator-7d9c5-zzzzz_0b1c")}, wantMessage: unelected,
		},
		"a Lease of another workload with a longer name is none": {
			rule: rule, object: deployment("operator", 2, manager, oneImage) + ready,
			others: []string{pod, lease("flux-system", "operator-webhook-5c9-aaaaa_0b1c")}, wantMessage: unelected,
		},
		"a controller that does not run yet has no Lease yet": {
			rule: rule, object: deployment("operator", 2, manager, oneImage), others: []string{pod},
		},
		"Flux's own are controllers": {
			rule: rule, object: deployment("helm-controller", 2, flux, oneImage) + ready, wantMessage: unelected,
		},
		"on the host network the identity is the node's": {
			rule: rule, object: deployment("operator", 2, manager, "hostNetwork: true\n"+oneImage) + ready, wantUnmatched: true,
		},
	}
}

package flux_test

import (
	"fmt"
	"maps"
)

// ruleCase is one rule on one object, beside others.
type ruleCase struct {
	rule   string
	object string
	others []string

	// wantUnmatched: the rule is not about the object.
	wantUnmatched bool
	// wantMessage is a part of the message; without it the rule holds.
	wantMessage string
}

const (
	flux     = "app.kubernetes.io/part-of: flux"
	oneImage = "containers: [{name: manager, image: x}]"
)

func ruleCases() map[string]ruleCase {
	all := map[string]ruleCase{}
	for _, more := range []map[string]ruleCase{
		spreadCases(), replicaCases(), pdbCases(), tolerationCases(), electionCases(),
		apartCases(), priorityCases(), leaseCases(), volumeCases(), operatorCases(), memoryCases(),
		recoveryWebhookCases(), webhookBackendCases(), bypassCases(),
	} {
		maps.Copy(all, more)
	}
	return all
}

func spreadCases() map[string]ruleCase {
	on := func(spec string) ruleCase {
		return ruleCase{rule: "flux-spread-is-soft", object: deployment("helm-controller", 2, flux, spec+"\n"+oneImage)}
	}
	with := func(tc ruleCase, message string) ruleCase {
		tc.wantMessage = message
		return tc
	}
	const soft = "{topologyKey: kubernetes.io/hostname, maxSkew: 1, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: helm-controller}}}"
	return map[string]ruleCase{
		"a soft spread is right": on("topologySpreadConstraints: [" + soft + "]"),
		"a spread over zones alone does not count": with(
			on("topologySpreadConstraints: [{topologyKey: topology.kubernetes.io/zone, maxSkew: 1, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: helm-controller}}}]"),
			"has no topology spread constraint on kubernetes.io/hostname"),
		"a spread that selects other pods does not count": with(
			on("topologySpreadConstraints: [{topologyKey: kubernetes.io/hostname, maxSkew: 1, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: other}}}]"),
			"has no topology spread constraint on kubernetes.io/hostname that selects its own pods"),
		"a spread without a selector does not count": with(
			on("topologySpreadConstraints: [{topologyKey: kubernetes.io/hostname, maxSkew: 1, whenUnsatisfiable: ScheduleAnyway}]"),
			"has no topology spread constraint"),
		"a hard spread beside a soft one is named": with(
			on("topologySpreadConstraints: ["+soft+", {topologyKey: topology.kubernetes.io/zone, maxSkew: 1, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: helm-controller}}}]"),
			"topology spread constraint on topology.kubernetes.io/zone that is not soft"),
		"a required anti-affinity is reported": with(
			on("topologySpreadConstraints: ["+soft+"]\naffinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname}]}}"),
			"has a required pod anti-affinity"),
		"a Deployment that is not Flux's is left alone": {
			rule: "flux-spread-is-soft", object: deployment("web", 3, "app.kubernetes.io/part-of: shop", oneImage), wantUnmatched: true,
		},
	}
}

func replicaCases() map[string]ruleCase {
	return map[string]ruleCase{
		"two source-controllers are one too many": {
			rule: "flux-singleton-replicas", object: deployment("source-controller", 2, flux, oneImage),
			wantMessage: "Deployment flux-system/source-controller has 2 replicas; it delivers with exactly 1",
		},
		"no source-controller is one too few": {
			rule: "flux-singleton-replicas", object: deployment("source-controller", 0, flux, oneImage),
			wantMessage: "has 0 replicas",
		},
		"a shard of source-controller is one too": {
			rule: "flux-singleton-replicas", object: deployment("source-controller-shard1", 2, flux, oneImage),
			wantMessage: "has 2 replicas",
		},
		"two source-watchers are one too many": {
			rule: "flux-singleton-replicas", object: deployment("source-watcher", 2, flux, oneImage),
			wantMessage: "has 2 replicas",
		},
		"source-controller has no standby": {
			rule: "flux-standby-replicas", object: deployment("source-controller", 1, flux, oneImage), wantUnmatched: true,
		},
		"kustomize-controller is no singleton": {
			rule: "flux-singleton-replicas", object: deployment("kustomize-controller", 2, flux, oneImage), wantUnmatched: true,
		},
		"a shard of kustomize-controller has a standby": {
			rule: "flux-standby-replicas", object: deployment("kustomize-controller-shard1", 1, flux, oneImage),
			wantMessage: "kustomize-controller-shard1 has 1 replica, so nothing takes over",
		},
		"three replicas are enough": {
			rule: "flux-standby-replicas", object: deployment("kustomize-controller", 3, flux, oneImage),
		},
		"another controller that calls itself Flux's has no floor": {
			rule: "flux-standby-replicas", object: deployment("flux-web", 1, flux, oneImage), wantUnmatched: true,
		},
	}
}

func pdb(name, spec string) string {
	return fmt.Sprintf("apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: %s, namespace: flux-system}\nspec: {%s}\n", name, spec)
}

func pdbCases() map[string]ruleCase {
	const own = ", selector: {matchLabels: {app: helm-controller}}"
	standby := func(replicas int, message string, others ...string) ruleCase {
		return ruleCase{
			rule: "flux-standby-pdb", object: deployment("helm-controller", replicas, flux, oneImage),
			others: others, wantMessage: message,
		}
	}
	const ofSource = ", selector: {matchLabels: {app: source-controller}}"
	singleton := func(message string, others ...string) ruleCase {
		return ruleCase{
			rule: "flux-singleton-no-blocking-pdb", object: deployment("source-controller", 1, flux, oneImage),
			others: others, wantMessage: message,
		}
	}
	const set = ", selector: {matchLabels: {part-of: set}}"
	sibling := deployment("kustomize-controller", 2, flux, oneImage)
	elsewhere := "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: p, namespace: other}\nspec: {maxUnavailable: 1" + own + "}\n"
	const (
		none   = "has no PodDisruptionBudget that selects its pods"
		blocks = "PodDisruptionBudget flux-system/p never lets a pod of Deployment flux-system/helm-controller"
		takes  = "which are all of Deployment flux-system/helm-controller"
	)
	return map[string]ruleCase{
		"maxUnavailable 1 is right":                    standby(2, "", pdb("p", "maxUnavailable: 1"+own)),
		"minAvailable 1 of 2 is right":                 standby(2, "", pdb("p", "minAvailable: 1"+own)),
		"minAvailable 50% of 2 is right":               standby(2, "", pdb("p", "minAvailable: 50%"+own)),
		"maxUnavailable 1% of 2 rounds up to one":      standby(2, "", pdb("p", "maxUnavailable: 1%"+own)),
		"a budget selected by expression is right":     standby(2, "", pdb("p", "maxUnavailable: 1, selector: {matchExpressions: [{key: app, operator: In, values: [helm-controller]}]}")),
		"a budget in another namespace does not count": standby(2, none, elsewhere),
		"labels alike and an expression that excludes do not count": standby(2, none,
			pdb("p", "maxUnavailable: 1, selector: {matchLabels: {app: helm-controller}, matchExpressions: [{key: part-of, operator: NotIn, values: [set]}]}")),
		"a budget without a selector does not count": standby(2, none, pdb("p", "maxUnavailable: 1")),
		"an empty selector selects every pod":        standby(2, "", pdb("p", "maxUnavailable: 1, selector: {}")),
		"two budgets are one too many": standby(2, "has 2 PodDisruptionBudgets that select its pods (p, q)",
			pdb("p", "maxUnavailable: 1"+own), pdb("q", "maxUnavailable: 1"+set)),
		"maxUnavailable 0 blocks":                    standby(2, blocks, pdb("p", "maxUnavailable: 0"+own)),
		"maxUnavailable 0% blocks":                   standby(2, blocks, pdb("p", "maxUnavailable: 0%"+own)),
		"minAvailable 2 of 2 blocks":                 standby(2, blocks, pdb("p", "minAvailable: 2"+own)),
		"minAvailable 51% of 2 rounds up and blocks": standby(2, blocks, pdb("p", "minAvailable: 51%"+own)),
		"minAvailable 1 of 1 blocks":                 standby(1, blocks, pdb("p", "minAvailable: 1"+own)),
		"a budget that says neither blocks":          standby(2, blocks, pdb("p", "unhealthyPodEvictionPolicy: AlwaysAllow"+own)),
		"maxUnavailable 2 of 2 takes both":           standby(2, takes, pdb("p", "maxUnavailable: 2"+own)),
		"minAvailable 0 takes both":                  standby(2, takes, pdb("p", "minAvailable: 0"+own)),
		"a shared budget counts all its pods and may take both": standby(2, "lets 2 pods be evicted at once",
			pdb("p", "minAvailable: 50%"+set), sibling),
		"a shared budget that allows one is right": standby(2, "", pdb("p", "minAvailable: 3"+set), sibling),

		"no budget over a singleton is right":          singleton(""),
		"maxUnavailable 1 over a singleton is right":   singleton("", pdb("p", "maxUnavailable: 1"+ofSource)),
		"minAvailable 0 over a singleton is right":     singleton("", pdb("p", "minAvailable: 0"+ofSource)),
		"minAvailable 1 over a singleton blocks":       singleton("never lets the only pod of Deployment flux-system/source-controller be evicted", pdb("p", "minAvailable: 1"+ofSource)),
		"minAvailable 1% over a singleton blocks":      singleton("never lets the only pod", pdb("p", "minAvailable: 1%"+ofSource)),
		"maxUnavailable 0 over a singleton blocks":     singleton("never lets the only pod", pdb("p", "maxUnavailable: 0"+ofSource)),
		"two budgets over a singleton block":           singleton("has 2 PodDisruptionBudgets that select its pod (p, q)", pdb("p", "maxUnavailable: 1"+ofSource), pdb("q", "maxUnavailable: 1"+set)),
		"a shared budget that leaves room is no block": singleton("", pdb("p", "minAvailable: 1"+set), sibling),
		"a standby with one replica is flux-standby-pdb's": {
			rule: "flux-singleton-no-blocking-pdb", object: deployment("helm-controller", 1, flux, oneImage),
			others: []string{pdb("p", "minAvailable: 1"+own)}, wantUnmatched: true,
		},
	}
}

func tolerationCases() map[string]ruleCase {
	on := func(tolerations, message string) ruleCase {
		return ruleCase{
			rule: "flux-tolerations-are-short", wantMessage: message,
			object: deployment("helm-controller", 2, flux, "tolerations: ["+tolerations+"]\n"+oneImage),
		}
	}
	const (
		notReady    = "{key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 30}"
		unreachable = "{key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 10}"
	)
	return map[string]ruleCase{
		"30 s and 10 s are short":         on(notReady+", "+unreachable, ""),
		"0 s is short":                    on(unreachable+", {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 0}", ""),
		"one that is missing is reported": on(notReady, "has no toleration of node.kubernetes.io/unreachable"),
		"31 s is long": on(unreachable+", {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 31}",
			"tolerates node.kubernetes.io/not-ready for 31 s"),
		"a toleration without a limit is reported": on(notReady+", {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute}",
			"tolerates node.kubernetes.io/unreachable without a limit"),
		"a toleration of everything comes first": on("{operator: Exists}, "+notReady+", "+unreachable,
			"tolerates node.kubernetes.io/not-ready without a limit"),
		"a toleration of everything comes last": on(notReady+", "+unreachable+", {operator: Exists}", ""),
		"a toleration of another effect does not count": on(unreachable+", {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoSchedule}",
			"has no toleration of node.kubernetes.io/not-ready"),
		"a toleration of a dedicated node is no matter": on("{key: dedicated, operator: Equal, value: flux, effect: NoExecute}, "+notReady+", "+unreachable, ""),
	}
}

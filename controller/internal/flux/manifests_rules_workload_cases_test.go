package flux_test

import (
	"fmt"
	"strings"
)

func apartCases() map[string]ruleCase {
	const (
		own = "{weight: 100, podAffinityTerm: {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: helm-controller}}}}"
		set = "{weight: 100, podAffinityTerm: {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {part-of: set}}"
	)
	prefers := func(replicas int, terms, message string) ruleCase {
		return ruleCase{
			rule: "flux-replicas-are-kept-apart", wantMessage: message,
			object: deployment("helm-controller", replicas, flux,
				"affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: ["+terms+"]}}\n"+oneImage),
			others: []string{deployment("kustomize-controller", 2, flux, oneImage)},
		}
	}
	spreads := func(selector, message string) ruleCase {
		return ruleCase{
			rule: "flux-replicas-are-kept-apart", wantMessage: message,
			object: deployment("helm-controller", 2, flux,
				"topologySpreadConstraints: [{topologyKey: kubernetes.io/hostname, maxSkew: 1, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {"+selector+"}}}]\n"+oneImage),
			others: []string{deployment("kustomize-controller", 2, flux, oneImage)},
		}
	}
	const missing = "Deployment flux-system/helm-controller has 2 replicas and nothing that keeps them apart"
	one := prefers(1, "", "")
	one.wantUnmatched = true
	return map[string]ruleCase{
		"one replica has nothing to be kept apart from":              one,
		"an anti-affinity to its own pods keeps them apart":          prefers(2, own, ""),
		"two replicas without any preference are reported":           prefers(2, "", missing),
		"an anti-affinity to the whole set does not keep them apart": prefers(2, set+"}}", missing),
		"narrowed to the label app it does":                          prefers(2, set+", matchLabelKeys: [app]}}", ""),
		"narrowed to the revision it does":                           prefers(2, set+", matchLabelKeys: [pod-template-hash]}}", ""),
		"narrowed by a label that the pods lack it does not":         prefers(2, set+", matchLabelKeys: [shard]}}", missing),
		"an anti-affinity over zones does not count":                 prefers(2, strings.ReplaceAll(own, "kubernetes.io/hostname", "topology.kubernetes.io/zone"), missing),
		"an anti-affinity to other pods does not count":              prefers(2, strings.ReplaceAll(own, "helm-controller", "kustomize-controller"), missing),
		"a spread over its own pods keeps them apart":                spreads("app: helm-controller", ""),
		"a spread over the whole set alone does not keep them apart": spreads("part-of: set", missing),
	}
}

func priorityCases() map[string]ruleCase {
	with := func(class, message string, others ...string) ruleCase {
		spec := oneImage
		if class != "" {
			spec += "\npriorityClassName: " + class
		}
		return ruleCase{rule: "flux-priority-class", object: deployment("helm-controller", 2, flux, spec), others: others, wantMessage: message}
	}
	class := func(name string, value int) string {
		return fmt.Sprintf("apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: %s}\nvalue: %d\n", name, value)
	}
	return map[string]ruleCase{
		"system-cluster-critical is right":    with("system-cluster-critical", ""),
		"system-node-critical is right":       with("system-node-critical", ""),
		"a class of the platform is right":    with("platform", "", class("platform", 1000000)),
		"no class is reported":                with("", "Deployment flux-system/helm-controller has no priorityClassName, so a full cluster"),
		"a class of no value is reported":     with("batch", "has the PriorityClass batch, whose value is not above 0", class("batch", 0)),
		"a class that is missing is reported": with("platform", "names the PriorityClass platform, which does not exist", class("other", 5)),
	}
}

func leaseCases() map[string]ruleCase {
	on := func(name, args, message string) ruleCase {
		return ruleCase{
			rule: "flux-lease-timings", wantMessage: message,
			object: deployment(name, 1, flux, "containers: [{name: manager, image: x, args: ["+args+"]}]"),
		}
	}
	const right = "--leader-election-lease-duration=15s, --leader-election-renew-deadline=10s, --leader-election-retry-period=1s"
	unknown := on("flux-web", "", "")
	unknown.wantUnmatched = true
	return map[string]ruleCase{
		"15 s, 10 s and 1 s are right":   on("helm-controller", right, ""),
		"a fraction of a second is read": on("helm-controller", strings.Replace(right, "=1s", "=1.25s", 1), ""),
		"of two values the last counts":  on("helm-controller", "--leader-election-lease-duration=35s, "+right, ""),
		"of two values the last counts, also where it is long": on("helm-controller", right+", --leader-election-lease-duration=35s",
			"Deployment flux-system/helm-controller has a lease of 35s that is polled every 1s"),
		"the defaults are long":   on("source-controller", "", "has a lease of 35s that is polled every 5s"),
		"a shard is judged too":   on("kustomize-controller-shard1", "", "Deployment flux-system/kustomize-controller-shard1 has a lease of 35s"),
		"a period of 2 s is long": on("helm-controller", strings.Replace(right, "=1s", "=2s", 1), "polled every 2s"),
		"a deadline of 6 s is too short": on("helm-controller", "--leader-election-lease-duration=8s, --leader-election-renew-deadline=6s, --leader-election-retry-period=1s",
			"gives up leadership after 6s without the API server"),
		"a lease that ends before its deadline does not start": on("helm-controller", "--leader-election-lease-duration=15s, --leader-election-renew-deadline=15s, --leader-election-retry-period=1s",
			"has a lease of 15s and a renew deadline of 15s"),
		"a value that is no duration counts as none":    on("helm-controller", right+", --leader-election-lease-duration=soon", ""),
		"another controller has no lease that is known": unknown,
	}
}

func volumeCases() map[string]ruleCase {
	claim := func(name, namespace, modes string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: %s, namespace: %s}\nspec: {accessModes: [%s]}\n", name, namespace, modes)
	}
	on := func(volumes, message string, others ...string) ruleCase {
		return ruleCase{
			rule: "flux-no-read-write-once-volume", wantMessage: message, others: others,
			object: deployment("source-controller", 1, flux, "volumes: ["+volumes+"]\n"+oneImage),
		}
	}
	const mounts = "{name: data, persistentVolumeClaim: {claimName: data}}"
	return map[string]ruleCase{
		"an emptyDir is right":                        on("{name: data, emptyDir: {}}", ""),
		"a ReadWriteMany claim is right":              on(mounts, "", claim("data", "flux-system", "ReadWriteOnce, ReadWriteMany")),
		"a ReadWriteOnce claim is reported":           on(mounts, "Deployment flux-system/source-controller mounts the claim data, which one node at a time", claim("data", "flux-system", "ReadWriteOnce")),
		"a ReadWriteOncePod claim is reported":        on(mounts, "mounts the claim data", claim("data", "flux-system", "ReadWriteOncePod")),
		"a claim of another namespace is no matter":   on(mounts, "", claim("data", "other", "ReadWriteOnce")),
		"a claim that it does not mount is no matter": on(mounts, "", claim("more", "flux-system", "ReadWriteOnce")),
	}
}

func operatorCases() map[string]ruleCase {
	const (
		name        = "app.kubernetes.io/name: flux-operator"
		apart       = "{weight: 100, podAffinityTerm: {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: flux-operator}}}}"
		elsewhere   = "{weight: 50, podAffinityTerm: {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: kustomize-controller}}}}"
		tolerations = "tolerations: [{key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 10}, {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 10}]\n"
		priority    = "priorityClassName: system-cluster-critical\n"
	)
	affinity := func(terms ...string) string {
		return "affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [" + strings.Join(terms, ", ") + "]}}\n"
	}
	on := func(replicas int, spec, message string) ruleCase {
		return ruleCase{
			rule: "flux-operator-outlives-a-worker", wantMessage: message,
			object: deployment("flux-operator", replicas, name, spec+oneImage),
			others: []string{pdb("flux-operator", "maxUnavailable: 1, selector: {matchLabels: {app: flux-operator}}")},
		}
	}
	right := affinity(apart, elsewhere) + tolerations + priority
	unbudgeted := on(2, right, "has 0 PodDisruptionBudgets that select its pods and needs one")
	unbudgeted.others = nil
	return map[string]ruleCase{
		"two replicas apart from each other and from kustomize-controller are right": on(2, right, ""),
		"one replica of flux-operator is reported":                                   on(1, right, "Deployment flux-system/flux-operator has 1 replica, so nothing reconciles the FluxInstance"),
		"two that nothing keeps apart are reported":                                  on(2, affinity(elsewhere)+tolerations+priority, "has nothing that keeps its replicas apart"),
		"no preference against kustomize-controller is reported":                     on(2, affinity(apart)+tolerations+priority, "has no preference for another worker than kustomize-controller"),
		"a required anti-affinity of flux-operator is reported": on(2, "affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: ["+apart+", "+elsewhere+
			"], requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname}]}}\n"+tolerations+priority, "that is not soft"),
		"the default tolerations of flux-operator are reported": on(2, affinity(apart, elsewhere)+priority, "stays on a lost worker for longer than 30 s"),
		"no priority of flux-operator is reported":              on(2, affinity(apart, elsewhere)+tolerations, "has no priorityClassName"),
		"no budget over flux-operator is reported":              unbudgeted,
		"another Deployment of the same namespace is left alone": {
			rule: "flux-operator-outlives-a-worker", object: deployment("web", 1, "app.kubernetes.io/name: web", oneImage), wantUnmatched: true,
		},
	}
}

func memoryCases() map[string]ruleCase {
	workload := func(kind, namespace, name, labels, spec string) string {
		text := deployment(name, 1, labels, spec)
		return strings.NewReplacer("kind: Deployment", "kind: "+kind, "namespace: flux-system", "namespace: "+namespace).Replace(text)
	}
	on := func(object, message string, others ...string) ruleCase {
		return ruleCase{rule: "recovery-path-requests-memory", object: object, others: others, wantMessage: message}
	}
	unmatched := func(object string) ruleCase {
		return ruleCase{rule: "recovery-path-requests-memory", object: object, wantUnmatched: true}
	}
	const (
		requests = "containers: [{name: manager, image: x, resources: {requests: {memory: 64Mi}}}]"
		half     = "containers: [{name: manager, image: x, resources: {requests: {memory: 64Mi}}}, {name: proxy, image: x, resources: {requests: {cpu: 1m}}}]"
		dns      = "k8s-app: kube-dns"
		plain    = "x: y"
	)
	limitRange := func(namespace, item string) string {
		return "apiVersion: v1\nkind: LimitRange\nmetadata: {name: l, namespace: " + namespace + "}\nspec: {limits: [" + item + "]}\n"
	}
	const byDefault = "{type: Container, defaultRequest: {memory: 32Mi}}"
	return map[string]ruleCase{
		"a request of each container is right":            on(deployment("helm-controller", 1, flux, requests), ""),
		"a limit is a request":                            on(deployment("helm-controller", 1, flux, "containers: [{name: manager, image: x, resources: {limits: {memory: 1Gi}}}]"), ""),
		"a request of the pod is right":                   on(deployment("helm-controller", 1, flux, "resources: {requests: {memory: 64Mi}}\n"+oneImage), ""),
		"a kube-proxy without any is reported":            on(workload("DaemonSet", "kube-system", "kube-proxy", plain, oneImage), "DaemonSet kube-system/kube-proxy requests no memory, so its pods"),
		"a network plugin elsewhere is too":               on(workload("DaemonSet", "calico-system", "calico-node", plain, oneImage), "DaemonSet calico-system/calico-node requests no memory"),
		"cluster DNS is too":                              on(workload("Deployment", "kube-system", "coredns", dns, oneImage), "Deployment kube-system/coredns requests no memory"),
		"flux-operator is too":                            on(deployment("flux-operator", 1, "app.kubernetes.io/name: flux-operator", oneImage), "Deployment flux-system/flux-operator requests no memory"),
		"a sidecar without any is named":                  on(deployment("helm-controller", 1, flux, half), "requests no memory for proxy, so"),
		"a request of zero is none":                       on(deployment("helm-controller", 1, flux, "containers: [{name: manager, image: x, resources: {requests: {memory: 0}}}]"), "requests no memory"),
		"a restartable init container is one more":        on(deployment("helm-controller", 1, flux, requests+"\ninitContainers: [{name: mesh, image: x, restartPolicy: Always}]"), "requests no memory for mesh"),
		"an init container that ends is no matter":        on(deployment("helm-controller", 1, flux, requests+"\ninitContainers: [{name: setup, image: x}]"), ""),
		"a LimitRange may give it":                        on(deployment("helm-controller", 1, flux, oneImage), "", limitRange("flux-system", byDefault)),
		"a LimitRange elsewhere does not":                 on(deployment("helm-controller", 1, flux, oneImage), "requests no memory", limitRange("other", byDefault)),
		"a LimitRange without a default does not":         on(deployment("helm-controller", 1, flux, oneImage), "requests no memory", limitRange("flux-system", "{type: Container, max: {memory: 1Gi}}")),
		"other Deployments of kube-system are left alone": unmatched(workload("Deployment", "kube-system", "metrics-server", plain, oneImage)),
		"other DaemonSets are left alone":                 unmatched(workload("DaemonSet", "logging", "agent", plain, oneImage)),
	}
}

func bypassCases() map[string]ruleCase {
	on := func(labels, annotations, message string) ruleCase {
		return ruleCase{
			rule: "namespace-is-bypassed", wantMessage: message,
			object: "apiVersion: v1\nkind: Namespace\nmetadata: {name: web, labels: {" + labels + "}, annotations: {" + annotations + "}}\n",
		}
	}
	return map[string]ruleCase{
		"a namespace without the label is not bypassed": on("", "mainstay.dev/bypass-reason: old", ""),
		"a label that says no does not bypass":          on(`mainstay.dev/bypass: "false"`, "", ""),
		"a bypassed namespace is reported":              on(`mainstay.dev/bypass: "true"`, "", "nothing is denied in Namespace web"),
		"with its reason":                               on(`mainstay.dev/bypass: "true"`, "mainstay.dev/bypass-reason: INC-4711", "the reason is: INC-4711."),
	}
}

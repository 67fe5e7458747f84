package check_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
)

// workload is a Deployment in the namespace ns, with the given replicas and the
// given lines of its pods' spec.
func workload(name string, replicas int, spec string) string {
	return fmt.Sprintf(`
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: ns, labels: {set: all}}
spec:
  replicas: %[2]d
  template:
    metadata: {labels: {app: %[1]s, set: all}}
    spec:
      containers: [{name: c, image: c}]
%[3]s`, name, replicas, spec)
}

// ofFlux is a workload with the label of Flux.
func ofFlux(workload string) string {
	return strings.Replace(workload, "labels: {set: all}}", "labels: {set: all, app.kubernetes.io/part-of: flux}}", 1)
}

// lifelineText selects all workloads.
func lifelineText(keys, profiles string) string {
	return fmt.Sprintf(`
apiVersion: mainstay.dev/v1alpha1
kind: Lifeline
metadata: {name: all, namespace: ns}
spec:
  selector: {matchLabels: {set: all}}
  topologyKeys: [%s]
  profiles: [%s]
`, keys, profiles)
}

const (
	ownSpread = `
      topologySpreadConstraints:
      - {topologyKey: kubernetes.io/hostname, maxSkew: 1, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: a}}}
`
	setSpread = `
      topologySpreadConstraints:
      - {topologyKey: kubernetes.io/hostname, maxSkew: 1, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {set: all}}}
`
	narrowedSpread = `
      topologySpreadConstraints:
      - {topologyKey: kubernetes.io/hostname, maxSkew: 1, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {set: all}}, matchLabelKeys: [app]}
`
	zoneAntiAffinity = `
      affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [
        {weight: 1, podAffinityTerm: {topologyKey: topology.kubernetes.io/zone, labelSelector: {matchLabels: {app: a}}}}]}}
`
	hardAntiAffinity = `
      affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [
        {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {set: all}}}]}}
`
	claim = `
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
`
	endless = `
      tolerations: [{operator: Exists}]
`
	otherNodes = `
      nodeSelector: {pool: infra}
`
)

func TestLifelines(t *testing.T) {
	t.Parallel()
	const (
		hostname = "kubernetes.io/hostname"
		stops    = ", so with 3 workers the loss of one worker stops it"
		head     = "high lifeline-survives all.yaml:2 Lifeline ns/all (all.yaml:1) does not survive: "
	)
	for name, tc := range map[string]struct {
		lifeline, workloads string
		workers             int
		want                []string
		wantNotes           []string
	}{
		"nothing keeps them apart": {
			lifeline: lifelineText(hostname, ""), workloads: workload("a", 2, ""),
			want: []string{head + "nothing keeps the 2 replicas of Deployment a (ActiveActive) apart, and all of them may be on one worker" + stops},
		},
		"a spread of its own": {lifeline: lifelineText(hostname, ""), workloads: workload("a", 2, ownSpread)},
		"a spread of the set": {
			lifeline: lifelineText(hostname, ""), workloads: workload("a", 2, setSpread) + workload("b", 2, strings.ReplaceAll(ownSpread, "app: a", "app: b")),
			want: []string{head + "nothing keeps the 2 replicas of Deployment a (ActiveActive) apart, and all of them may be on one worker" + stops},
		},
		"a spread of a set with one member": {lifeline: lifelineText(hostname, ""), workloads: workload("a", 2, setSpread)},
		"a spread of the set, narrowed":     {lifeline: lifelineText(hostname, ""), workloads: workload("a", 2, narrowedSpread) + workload("b", 2, narrowedSpread)},
		"apart by zone is apart by host":    {lifeline: lifelineText(hostname, ""), workloads: workload("a", 2, zoneAntiAffinity)},
		"apart by host is not apart by zone": {
			lifeline: lifelineText("topology.kubernetes.io/zone", ""), workloads: workload("a", 2, ownSpread),
			want: []string{head + "nothing keeps the 2 replicas of Deployment a (ActiveActive) apart, and all of them may be on one worker, so with 3 workers the loss of one domain of topology.kubernetes.io/zone stops it"},
		},
		"kept apart by force": {lifeline: lifelineText(hostname, ""), workloads: workload("a", 4, hardAntiAffinity)},
		"one replica": {
			lifeline: lifelineText(hostname, ""), workloads: workload("a", 1, ownSpread),
			want: []string{head + "Deployment a (ActiveActive) asks for one replica" + stops},
		},
		"scaled to zero": {
			lifeline: lifelineText(hostname, ""), workloads: workload("a", 0, ownSpread),
			want: []string{head + "Deployment a (ActiveActive) is scaled to zero" + stops},
		},
		"a Singleton moves":                 {lifeline: lifelineText(hostname, "{name: a, profile: Singleton}"), workloads: workload("a", 1, "")},
		"a Singleton moves within its pool": {lifeline: lifelineText(hostname, "{name: a, profile: Singleton}"), workloads: workload("a", 1, otherNodes)},
		"a Singleton with storage": {
			lifeline: lifelineText(hostname, "{name: a, profile: Singleton}"), workloads: workload("a", 1, claim),
			want: []string{head + "Deployment a (Singleton) has storage that may not follow it to another worker" + stops},
		},
		"a Singleton that stays": {
			lifeline: lifelineText(hostname, "{name: a, profile: Singleton}"), workloads: workload("a", 1, endless),
			want: []string{head + "Deployment a (Singleton) tolerates an unreachable worker for ever and is never moved off it" + stops},
		},
		"a shard of source-controller is a Singleton": {lifeline: lifelineText(hostname, ""), workloads: ofFlux(workload("source-controller-shard1", 1, ""))},
		"a shard of kustomize-controller is not": {
			lifeline: lifelineText(hostname, ""), workloads: ofFlux(workload("kustomize-controller-shard1", 1, "")),
			want: []string{head + "Deployment kustomize-controller-shard1 (Standby) asks for one replica" + stops},
		},
		"one worker": {
			lifeline: lifelineText(hostname, ""), workloads: workload("a", 1, ""), workers: 1,
			wantNotes: []string{"with one worker there is nowhere else, so the Lifeline is not judged"},
		},
		"no member": {
			lifeline: lifelineText(hostname, ""), workloads: web,
			wantNotes: []string{"nothing of what was rendered belongs to this Lifeline, so it is not judged"},
		},
		"somebody else scales it": {
			lifeline: lifelineText(hostname, ""), workloads: workload("a", 1, "") + "\n---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: a, namespace: ns}\nspec: {scaleTargetRef: {kind: Deployment, name: a}}\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := checked(t, check.Options{Workers: tc.workers}, rendered(t, tc.lifeline+tc.workloads))
			if diff := cmp.Diff(tc.want, findings(report)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.wantNotes, notes(report)); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}

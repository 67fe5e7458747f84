package fluxgen

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/mainstay-dev/mainstay/test/builders"
)

func TestFluxHAOnEachController(t *testing.T) {
	t.Parallel()
	patched := withPatches(t, manifests(t, Options{}))
	for name, wantReplicas := range map[string]int32{
		"source-controller": 1, "kustomize-controller": 2, "helm-controller": 2, "notification-controller": 2,
	} {
		deployment := controller(t, patched, name)
		pod := deployment.Spec.Template.Spec
		if got := *deployment.Spec.Replicas; got != wantReplicas {
			t.Errorf("%s: replicas = %d, want %d", name, got, wantReplicas)
		}
		args := pod.Containers[0].Args
		wantTail := []string{
			"--leader-election-lease-duration=15s", "--leader-election-renew-deadline=10s", "--leader-election-retry-period=1s",
		}
		if diff := cmp.Diff(wantTail, args[len(args)-3:]); diff != "" {
			t.Errorf("%s: last arguments (-want +got):\n%s", name, diff)
		}
		if !slices.Contains(args, "--enable-leader-election") {
			t.Errorf("%s: arguments lost --enable-leader-election: %v", name, args)
		}
		if len(pod.TopologySpreadConstraints) != 1 || pod.TopologySpreadConstraints[0].WhenUnsatisfiable != corev1.ScheduleAnyway {
			t.Errorf("%s: spread = %+v, want one soft constraint", name, pod.TopologySpreadConstraints)
		}
		terms := pod.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution
		if len(terms) != 1 || !slices.Contains(terms[0].PodAffinityTerm.MatchLabelKeys, "app") {
			t.Errorf("%s: anti-affinity = %+v, want one term per controller", name, terms)
		}
		two, five := "2", "5"
		if diff := cmp.Diff([]corev1.PodDNSConfigOption{{Name: "timeout", Value: &two}, {Name: "attempts", Value: &five}}, pod.DNSConfig.Options); diff != "" {
			t.Errorf("%s: options of DNS (-want +got):\n%s", name, diff)
		}
		if len(pod.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution) != 0 {
			t.Errorf("%s: has a required anti-affinity", name)
		}
	}
	if got := controller(t, patched, "source-controller").Spec.Template.Spec.Containers[0].ReadinessProbe; got.PeriodSeconds != 1 || got.HTTPGet.Path != "/" {
		t.Errorf("source-controller: readiness probe = %+v, want the period 1 s and the path unchanged", got)
	}
}

// A selector that matches none of the pods keeps nothing apart. Before Flux 2.7 the
// pods lack the label of the set, which only their Deployments have.
func TestFluxHAKeepsPodsApart(t *testing.T) {
	t.Parallel()
	for name, stock := range map[string][]byte{
		"of this version": manifests(t, Options{}),
		"of Flux 2.6":     distribution(t, "v2.6.4"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			patched := withPatches(t, stock)
			for _, name := range fourControllers() {
				deployment := controller(t, patched, name)
				template := deployment.Spec.Template
				if len(template.Spec.TopologySpreadConstraints) == 0 || template.Spec.Affinity == nil {
					t.Fatalf("%s: nothing keeps its pods apart", name)
				}
				matches := func(what string, selector *metav1.LabelSelector, keys []string) {
					t.Helper()
					s, err := metav1.LabelSelectorAsSelector(selector)
					if err != nil || !s.Matches(labels.Set(template.Labels)) {
						t.Errorf("%s: %s selects %s (%v), the pods have %v", name, what, s, err, template.Labels)
					}
					for _, key := range keys {
						// This one is set on each ReplicaSet.
						if _, ok := template.Labels[key]; !ok && key != appsv1.DefaultDeploymentUniqueLabelKey {
							t.Errorf("%s: %s is narrowed by %s, the pods have %v", name, what, key, template.Labels)
						}
					}
				}
				for _, c := range template.Spec.TopologySpreadConstraints {
					matches("the spread", c.LabelSelector, c.MatchLabelKeys)
				}
				for _, term := range template.Spec.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
					matches("the anti-affinity", term.PodAffinityTerm.LabelSelector, term.PodAffinityTerm.MatchLabelKeys)
				}
				want := map[string]string{"app": name}
				if diff := cmp.Diff(want, deployment.Spec.Selector.MatchLabels); diff != "" {
					t.Errorf("%s: selector, which cannot be changed (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}

func TestFluxHAShipsBudgetsThatNeverBlock(t *testing.T) {
	t.Parallel()
	var names []string
	for _, obj := range builders.Objects(t, withPatches(t, manifests(t, Options{}))) {
		if obj.GetKind() == "Values" {
			t.Error("the values of the patches are rendered")
		}
		if obj.GetKind() != "PodDisruptionBudget" {
			continue
		}
		var pdb policyv1.PodDisruptionBudget
		convert(t, obj, &pdb)
		names = append(names, pdb.Name)
		if pdb.Namespace != "flux-system" || pdb.Spec.MinAvailable != nil || pdb.Spec.MaxUnavailable.IntValue() != 1 ||
			*pdb.Spec.UnhealthyPodEvictionPolicy != policyv1.AlwaysAllow || pdb.Spec.Selector.MatchLabels["app"] != pdb.Name {
			t.Errorf("PodDisruptionBudget %s/%s = %+v", pdb.Namespace, pdb.Name, pdb.Spec)
		}
	}
	slices.Sort(names)
	want := []string{
		"helm-controller", "image-automation-controller", "image-reflector-controller",
		"kustomize-controller", "notification-controller",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("PodDisruptionBudgets (-want +got):\n%s", diff)
	}
}

func TestFluxHAKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	const theirs = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: kustomize-controller
  namespace: flux-system
  labels:
    app.kubernetes.io/part-of: flux
spec:
  replicas: 1
  selector:
    matchLabels:
      app: kustomize-controller
  template:
    metadata:
      labels:
        app: kustomize-controller
    spec:
      affinity:
        nodeAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            nodeSelectorTerms:
            - matchExpressions:
              - {key: role, operator: In, values: [flux]}
      tolerations:
      - {key: dedicated, operator: Equal, value: flux, effect: NoSchedule}
      - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 300}
      dnsConfig:
        searches: [corp.example]
      topologySpreadConstraints:
      - topologyKey: kubernetes.io/hostname
        maxSkew: 2
        whenUnsatisfiable: ScheduleAnyway
        labelSelector: {matchLabels: {app: kustomize-controller}}
      containers:
      - name: manager
        image: x
        args: [--concurrent=8]
`
	pod := controller(t, withPatches(t, []byte(theirs)), "kustomize-controller").Spec.Template.Spec
	ten := int64(10)
	wantTolerations := []corev1.Toleration{
		{Key: "dedicated", Operator: corev1.TolerationOpEqual, Value: "flux", Effect: corev1.TaintEffectNoSchedule},
		{Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &ten},
		{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &ten},
	}
	if diff := cmp.Diff(wantTolerations, pod.Tolerations); diff != "" {
		t.Errorf("tolerations (-want +got):\n%s", diff)
	}
	if pod.Affinity.NodeAffinity == nil || pod.Affinity.PodAntiAffinity == nil {
		t.Errorf("affinity = %+v, want theirs and ours", pod.Affinity)
	}
	if pod.Containers[0].Args[0] != "--concurrent=8" {
		t.Errorf("arguments = %v, want theirs first", pod.Containers[0].Args)
	}
	if len(pod.DNSConfig.Searches) != 1 || len(pod.DNSConfig.Options) != 2 {
		t.Errorf("DNS = %+v, want their search domain and our options", pod.DNSConfig)
	}
	// The API server rejects two constraints with one pair of topologyKey and
	// whenUnsatisfiable.
	spread := pod.TopologySpreadConstraints
	if len(spread) != 1 || spread[0].MaxSkew != 1 || spread[0].LabelSelector.MatchLabels["app.kubernetes.io/part-of"] != "flux" {
		t.Errorf("spread = %+v, want ours alone", spread)
	}
}

func TestWithPatchesSaysWhichComponentIsMissing(t *testing.T) {
	t.Parallel()
	_, err := WithPatches("", []byte("apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n"), "patches/none")
	if err == nil || !strings.Contains(err.Error(), "copying component patches/none") {
		t.Errorf("error = %v, want it to name the component", err)
	}
}

func withPatches(t *testing.T, text []byte) []byte {
	t.Helper()
	out, err := WithPatches("", text, "patches/flux-ha")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// fourControllers are what Flux installs by default.
func fourControllers() []string {
	return []string{"source-controller", "kustomize-controller", "helm-controller", "notification-controller"}
}

// distribution is Flux of another version than the one of this repository, in the
// form that flux-operator's module has it in.
func distribution(t *testing.T, version string) []byte {
	t.Helper()
	mods := modulesOfFlux(t)
	var all [][]byte
	for _, name := range fourControllers() {
		content, err := os.ReadFile(filepath.Join(mods[distributionModule].Dir, "config", "data", "flux", version, name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, content)
	}
	return bytes.Join(all, []byte("\n---\n"))
}

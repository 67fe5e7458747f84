package flux_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/certs"
	"github.com/mainstay-dev/mainstay/controller/internal/manager"
	"github.com/mainstay-dev/mainstay/test/builders"
)

func TestEachKindOfClusterHasItsReplicas(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		wantReplicas, wantMinAvailable int
		wantHeal                       v1alpha1.HealMode
		wantSuspended                  []string
	}{
		"local": {
			wantReplicas: 1, wantHeal: v1alpha1.HealOff,
			wantSuspended: []string{
				"flux-lease-timings", "flux-operator-outlives-a-worker", "flux-replicas-are-kept-apart",
				"flux-spread-is-soft", "flux-standby-pdb", "flux-standby-replicas", "flux-tolerations-are-short",
			},
		},
		"small":      {wantReplicas: 2, wantMinAvailable: 1, wantHeal: v1alpha1.HealAuto},
		"production": {wantReplicas: 3, wantMinAvailable: 2, wantHeal: v1alpha1.HealAuto},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			overlay := builders.Objects(t, build(t, filepath.Join("clusters", name)))
			var deployment appsv1.Deployment
			convert(t, find(t, overlay, "Deployment", "mainstay"), &deployment)
			if got := int(*deployment.Spec.Replicas); got != tc.wantReplicas {
				t.Errorf("replicas = %d, want %d", got, tc.wantReplicas)
			}
			minAvailable := 0
			var suspended []string
			for _, obj := range overlay {
				switch obj.GetKind() {
				case "PodDisruptionBudget":
					var pdb policyv1.PodDisruptionBudget
					convert(t, obj, &pdb)
					minAvailable = pdb.Spec.MinAvailable.IntValue()
				case "ClusterRule":
					var rule v1alpha1.ClusterRule
					convert(t, obj, &rule)
					if rule.Spec.Suspend {
						suspended = append(suspended, rule.Name)
					}
				case "Lifeline":
					var lifeline v1alpha1.Lifeline
					convert(t, obj, &lifeline)
					if lifeline.Spec.Heal.Mode != tc.wantHeal {
						t.Errorf("Lifeline %s heals: %s, want %s", lifeline.Name, lifeline.Spec.Heal.Mode, tc.wantHeal)
					}
				}
			}
			if minAvailable != tc.wantMinAvailable || minAvailable >= tc.wantReplicas {
				t.Errorf("minAvailable = %d of %d, want %d", minAvailable, tc.wantReplicas, tc.wantMinAvailable)
			}
			slices.Sort(suspended)
			if diff := cmp.Diff(tc.wantSuspended, suspended); diff != "" {
				t.Errorf("suspended rules (-want +got):\n%s", diff)
			}
		})
	}
}

// What the overlays say of placement is a preference: no pod of theirs is ever
// Pending for want of a node.
func TestNoOverlayKeepsAPodFromBeingScheduled(t *testing.T) {
	t.Parallel()
	for _, name := range folders(t, "clusters") {
		pods := 0
		for _, obj := range builders.Objects(t, build(t, filepath.Join("clusters", name))) {
			if obj.GetKind() != "Deployment" {
				continue
			}
			pods++
			var deployment appsv1.Deployment
			convert(t, obj, &deployment)
			pod := deployment.Spec.Template.Spec
			for _, spread := range pod.TopologySpreadConstraints {
				if spread.WhenUnsatisfiable != corev1.ScheduleAnyway {
					t.Errorf("%s: %s has a hard spread on %s", name, obj.GetName(), spread.TopologyKey)
				}
			}
			if pod.Affinity != nil || len(pod.NodeSelector) > 0 {
				t.Errorf("%s: %s asks for nodes: %v %v", name, obj.GetName(), pod.Affinity, pod.NodeSelector)
			}
		}
		if pods == 0 {
			t.Errorf("%s has no Deployment", name)
		}
	}
}

func TestEachComponentBuildsOnTheBaseAlone(t *testing.T) {
	t.Parallel()
	base := build(t, "manifests/base")
	rules := build(t, "manifests/rules")
	for _, name := range folders(t, "manifests/components") {
		component := filepath.Join("manifests/components", name)
		for on, manifests := range map[string][]byte{
			"the base":               base,
			"the base and the rules": append(append(slices.Clone(base), "\n---\n"...), rules...),
		} {
			if cmp.Equal(byName(t, manifests), byName(t, withPatches(t, manifests, component))) {
				t.Errorf("%s changes nothing on %s", component, on)
			}
		}
	}
}

func TestNetworkPolicySelectsTheReplicasAndTheirMetrics(t *testing.T) {
	t.Parallel()
	all := builders.Objects(t, build(t, "clusters/production"))
	var policy networkingv1.NetworkPolicy
	convert(t, find(t, all, "NetworkPolicy", "mainstay"), &policy)
	var deployment appsv1.Deployment
	convert(t, find(t, all, "Deployment", "mainstay"), &deployment)
	if policy.Namespace != find(t, all, "Deployment", "mainstay").GetNamespace() {
		t.Errorf("the policy is in namespace %s", policy.Namespace)
	}
	if diff := cmp.Diff(deployment.Spec.Selector, &policy.Spec.PodSelector); diff != "" {
		t.Errorf("the policy selects other pods than the Deployment (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]networkingv1.PolicyType{networkingv1.PolicyTypeIngress}, policy.Spec.PolicyTypes); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
	port := policy.Spec.Ingress[0].Ports[0].Port.StrVal
	if !slices.ContainsFunc(deployment.Spec.Template.Spec.Containers[0].Ports, func(p corev1.ContainerPort) bool { return p.Name == port }) {
		t.Errorf("no container has the port %s", port)
	}
}

func TestWebhookCanBeReached(t *testing.T) {
	t.Parallel()
	all := builders.Objects(t, build(t, "clusters/production"))
	var deployment appsv1.Deployment
	convert(t, find(t, all, "Deployment", "mainstay"), &deployment)
	var service corev1.Service
	convert(t, find(t, all, "Service", certs.ServiceName), &service)
	if diff := cmp.Diff(deployment.Spec.Selector.MatchLabels, service.Spec.Selector); diff != "" {
		t.Errorf("the Service selects other pods than the Deployment (-want +got):\n%s", diff)
	}
	target := service.Spec.Ports[0].TargetPort
	if !slices.ContainsFunc(deployment.Spec.Template.Spec.Containers[0].Ports, func(p corev1.ContainerPort) bool { return p.Name == target.StrVal }) {
		t.Errorf("no container has the port %s", target.StrVal)
	}
	var policy networkingv1.NetworkPolicy
	convert(t, find(t, all, "NetworkPolicy", "mainstay"), &policy)
	if !slices.ContainsFunc(policy.Spec.Ingress, func(rule networkingv1.NetworkPolicyIngressRule) bool {
		return len(rule.From) == 0 && len(rule.Ports) == 1 && *rule.Ports[0].Port == target
	}) {
		t.Errorf("the policy does not let everybody reach the webhook: %+v", policy.Spec.Ingress)
	}
	defaults := manager.Default()
	if least := defaults.DrainTime + 2*defaults.ShutdownTimeout; time.Duration(*deployment.Spec.Template.Spec.TerminationGracePeriodSeconds)*time.Second < least {
		t.Errorf("a pod has %d s to end, and may need %s", *deployment.Spec.Template.Spec.TerminationGracePeriodSeconds, least)
	}
}

func TestCertManagerWritesTheSecretThatIsRead(t *testing.T) {
	t.Parallel()
	all := builders.Objects(t, withPatches(t, build(t, "manifests/base"), "manifests/components/cert-manager"))
	var deployment appsv1.Deployment
	convert(t, find(t, all, "Deployment", "mainstay"), &deployment)
	if args := deployment.Spec.Template.Spec.Containers[0].Args; !slices.Contains(args, "--webhook-cert-rotation=false") {
		t.Errorf("Mainstay writes it, too: %v", args)
	}
	namespace := find(t, all, "Deployment", "mainstay").GetNamespace()
	field := func(name string, path ...string) string {
		t.Helper()
		value, _, err := unstructured.NestedString(find(t, all, "Certificate", name).Object, path...)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	if got := field("mainstay-webhook", "spec", "secretName"); got != certs.SecretName {
		t.Errorf("the certificate is written to %s, want %s", got, certs.SecretName)
	}
	names, _, _ := unstructured.NestedStringSlice(find(t, all, "Certificate", "mainstay-webhook").Object, "spec", "dnsNames")
	if !slices.Contains(names, certs.ServerName(namespace)) {
		t.Errorf("the certificate is for %v, want %s", names, certs.ServerName(namespace))
	}
	// The issuer of the one signs with the Secret of the other.
	issuer := find(t, all, "Issuer", field("mainstay-webhook", "spec", "issuerRef", "name"))
	signer, _, _ := unstructured.NestedString(issuer.Object, "spec", "ca", "secretName")
	if got := field("mainstay-webhook-ca", "spec", "secretName"); got != signer {
		t.Errorf("the CA is written to %s, and its issuer reads %s", got, signer)
	}
	find(t, all, "Issuer", field("mainstay-webhook-ca", "spec", "issuerRef", "name"))
}

func TestLifelineOfFluxOperatorSelectsIt(t *testing.T) {
	t.Parallel()
	all := builders.Objects(t, withPatches(t, build(t, "manifests/rules"), "manifests/components/flux-operator"))
	var lifelines []string
	for _, obj := range all {
		if obj.GetKind() == "Lifeline" {
			lifelines = append(lifelines, obj.GetNamespace()+"/"+obj.GetName())
		}
	}
	if diff := cmp.Diff([]string{"flux-system/flux", "kube-system/coredns", "mainstay-system/mainstay", "flux-system/flux-operator"}, lifelines); diff != "" {
		t.Errorf("Lifelines (-want +got):\n%s", diff)
	}
	labels, _, _ := unstructured.NestedStringMap(find(t, all, "Lifeline", "flux-operator").Object, "spec", "selector", "matchLabels")
	if diff := cmp.Diff(map[string]string{"app.kubernetes.io/name": "flux-operator"}, labels); diff != "" {
		t.Errorf("selector (-want +got):\n%s", diff)
	}
}

// folders of a folder of this repository.
func folders(t *testing.T, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(repository, path))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		if entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	if len(names) == 0 {
		t.Fatalf("%s has no folders", path)
	}
	return names
}

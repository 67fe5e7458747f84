package fluxrun

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	kustypes "sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/images"
)

type noCluster struct{}

func (noCluster) Config() *rest.Config { return &rest.Config{} }

func pod(name, node string) corev1.Pod {
	p := corev1.Pod{}
	p.Name, p.Spec.NodeName = name, node
	return p
}

func TestChoose(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		pods         []corev1.Pod // the first one leads
		wantVictim   string
		wantTakeover bool
	}{
		"one replica":             {[]corev1.Pod{pod("a", "worker-1")}, "a", false},
		"a standby elsewhere":     {[]corev1.Pod{pod("a", "worker-1"), pod("b", "worker-2")}, "b", false},
		"a standby on the worker": {[]corev1.Pod{pod("a", "worker-1"), pod("b", "worker-3")}, "a", true},
		"several standbys":        {[]corev1.Pod{pod("a", "worker-1"), pod("b", "worker-2"), pod("c", "worker-3")}, "a", true},
	} {
		victim, takeover := choose(test.pods, &test.pods[0], "worker-3")
		if victim.Name != test.wantVictim || takeover != test.wantTakeover {
			t.Errorf("%s: victim = %s, takeover = %v, want %s, %v", name, victim.Name, takeover, test.wantVictim, test.wantTakeover)
		}
	}
}

func TestBeside(t *testing.T) {
	t.Parallel()
	leaving := pod("b", "worker-1")
	leaving.DeletionTimestamp = &metav1.Time{}
	for name, test := range map[string]struct {
		pods []corev1.Pod // the first one leads
		want string
	}{
		"one replica":                 {[]corev1.Pod{pod("a", "worker-1")}, ""},
		"a standby elsewhere":         {[]corev1.Pod{pod("a", "worker-1"), pod("b", "worker-2")}, ""},
		"a standby beside it":         {[]corev1.Pod{pod("a", "worker-1"), pod("b", "worker-2"), pod("c", "worker-1")}, "c"},
		"a standby that goes already": {[]corev1.Pod{pod("a", "worker-1"), leaving}, ""},
	} {
		got := ""
		if found := beside(test.pods, &test.pods[0]); found != nil {
			got = found.Name
		}
		if got != test.want {
			t.Errorf("%s: %q is beside the leader, want %q", name, got, test.want)
		}
	}
}

func TestHolder(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	for name, test := range map[string]struct {
		identity *string
		want     string
	}{
		"held":     {text("kustomize-controller-7d9f-x2v4_1c0f9a52-0000"), "kustomize-controller-7d9f-x2v4"},
		"released": {text(""), ""},
		"never":    {nil, ""},
	} {
		if got := holder(&coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{HolderIdentity: test.identity}}); got != test.want {
			t.Errorf("%s: holder = %q, want %q", name, got, test.want)
		}
	}
}

func TestCondition(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		want string // of the error; empty: none
	}{
		"true":         {`{metadata: {generation: 2}, status: {observedGeneration: 2, conditions: [{type: Ready, status: "True"}]}}`, ""},
		"a CRD":        {`{metadata: {generation: 2}, status: {conditions: [{type: Ready, status: "True"}]}}`, ""},
		"false":        {`{metadata: {generation: 2}, status: {observedGeneration: 2, conditions: [{type: Ready, status: "False", reason: Bad, message: "no"}]}}`, "Ready=False: Bad: no"},
		"not seen yet": {`{metadata: {generation: 3}, status: {observedGeneration: 2, conditions: [{type: Ready, status: "True"}]}}`, "generation 3 and generation 2 was seen"},
		"none":         {`{metadata: {generation: 1}}`, "no condition Ready yet"},
	} {
		obj := builders.Objects(t, []byte("{apiVersion: v1, kind: X, "+test.text[1:]))[0]
		err := condition(obj, "Ready")
		if (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: error = %v, want %q", name, err, test.want)
		}
	}
}

func TestStuck(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]bool{"ErrImagePull": true, "ImagePullBackOff": true, "ContainerCreating": false, "CrashLoopBackOff": false} {
		p := pod("a", "worker-1")
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Image: "ghcr.io/fluxcd/x:v1", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}},
		}}
		err := stuck(&p)
		if errors.Is(err, errHopeless) != want {
			t.Errorf("%s: error = %v, want hopeless: %v", reason, err, want)
		}
		if want && !strings.Contains(err.Error(), "image ghcr.io/fluxcd/x:v1 is not on worker-1") {
			t.Errorf("%s: error = %v, want it to name image and worker", reason, err)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		opts Options
		want string
	}{
		"no cluster":           {Options{}, "there is no cluster"},
		"operator, Components": {Options{Cluster: noCluster{}, Operator: true, Components: []string{"patches/flux-ha"}}, "takes patches and no Components"},
		"operator elsewhere":   {Options{Cluster: noCluster{}, Operator: true, Namespace: "gitops"}, "in flux-system, not in gitops"},
		"patches, no operator": {Options{Cluster: noCluster{}, Patches: []kustypes.Patch{{}}}, "which takes Operator"},
	} {
		if _, err := New(test.opts); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error = %v, want %q", name, err, test.want)
		}
	}
	got := Options{Operator: true}.Images()
	want := []string{"source-controller", "kustomize-controller", "helm-controller", "notification-controller", "flux-operator"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

func TestSyncObjects(t *testing.T) {
	t.Parallel()
	f := &Flux{namespace: "gitops"}
	for name, test := range map[string]struct {
		opts SyncOptions
		want string
	}{
		"defaults": {
			SyncOptions{Name: "fleet", URL: "http://10.89.0.1:3000/fleet.git"},
			`
- {apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, metadata: {name: fleet, namespace: gitops},
   spec: {interval: 2s, ref: {branch: main}, url: "http://10.89.0.1:3000/fleet.git"}}
- {apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, metadata: {name: fleet, namespace: gitops},
   spec: {interval: 10m0s, path: ./, prune: false, wait: false, sourceRef: {kind: GitRepository, name: fleet}}}`,
		},
		"a second Kustomization": {
			SyncOptions{
				Name: "rules", Source: "fleet", Path: "manifests/rules", Interval: 60e9, RetryInterval: 5e9, Timeout: 30e9,
				Prune: true, Wait: true, DependsOn: []string{"fleet"},
			},
			`
- {apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, metadata: {name: rules, namespace: gitops},
   spec: {interval: 1m0s, retryInterval: 5s, timeout: 30s, path: ./manifests/rules, prune: true, wait: true,
          sourceRef: {kind: GitRepository, name: fleet}, dependsOn: [{name: fleet}]}}`,
		},
	} {
		objects, err := f.syncObjects(test.opts)
		if err != nil {
			t.Fatal(err)
		}
		got := []map[string]any{}
		for _, obj := range objects {
			got = append(got, obj.Object)
		}
		var want []map[string]any
		if err := yaml.Unmarshal([]byte(test.want), &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for name, opts := range map[string]SyncOptions{"no name": {URL: "x"}, "no source": {Name: "x"}, "two sources": {Name: "x", URL: "x", Source: "x"}} {
		if _, err := f.syncObjects(opts); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestFluxInstance(t *testing.T) {
	t.Parallel()
	patch := "- op: add\n  path: /spec/template/spec/containers/0/args/-\n  value: --concurrent=5\n"
	instance, err := fluxInstance(Options{
		Namespace: "flux-system", Operator: true, Controllers: []string{"source-controller"},
		Patches: []kustypes.Patch{{Patch: patch, Target: &kustypes.Selector{
			ResId: resid.ResId{Gvk: resid.Gvk{Kind: "Deployment"}, Name: "(kustomize|helm)-controller"},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"distribution": map[string]any{"version": "2.9.x", "registry": images.DistributionRegistry},
		"components":   []any{"source-controller"},
		"cluster":      map[string]any{"type": "kubernetes", "domain": "cluster.local"},
		"kustomize": map[string]any{"patches": []any{map[string]any{
			"patch":  patch,
			"target": map[string]any{"kind": "Deployment", "name": "(kustomize|helm)-controller"},
		}}},
	}
	if diff := cmp.Diff(want, instance.Object["spec"]); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
}

func TestChangeContainers(t *testing.T) {
	t.Parallel()
	objects, err := decode([]byte(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
spec: {template: {spec: {containers: [{name: manager, image: x, imagePullPolicy: Always, env: [{name: A, value: b}]}]}}}
---
# nothing
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b}
`))
	if err != nil {
		t.Fatal(err)
	}
	var got []any
	for _, obj := range objects {
		if err := changeContainers(obj, neverPull, fips); err != nil {
			t.Fatal(err)
		}
		got = append(got, obj.Object["spec"])
	}
	container := map[string]any{
		"name": "manager", "image": "x", "imagePullPolicy": "IfNotPresent",
		"env": []any{map[string]any{"name": "A", "value": "b"}, map[string]any{"name": "GODEBUG", "value": "fips140=on"}},
	}
	want := []any{map[string]any{"template": map[string]any{"spec": map[string]any{"containers": []any{container}}}}, nil}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("specs (-want +got):\n%s", diff)
	}
}

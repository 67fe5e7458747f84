package render

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fluxcd/flux2/v2/pkg/manifestgen/install"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestInstance(t *testing.T) {
	data := filepath.Join(operatorModule(t), "config", "data")
	root := writeTree(t, map[string]string{"flux.yaml": "# the instance\n" + validInstance + `  cluster: {size: small}
  commonMetadata: {labels: {team: platform}, annotations: {note: kept}}
  sync: {kind: GitRepository, url: 'https://example.com/fleet.git', ref: refs/heads/main, path: clusters/a, pullSecret: git}
  kustomize:
    patches:
    - target: {kind: Deployment, name: kustomize-controller}
      patch: |
        - op: replace
          path: /spec/replicas
          value: 2
    # the namespace comes later
    - target: {kind: Deployment, namespace: flux-system}
      patch: |
        - op: replace
          path: /spec/replicas
          value: 3
`})
	got, err := Render(t.Context(), Options{Path: root, Root: root, Distribution: data})
	if err != nil {
		t.Fatal(err)
	}
	const name = "apps/v1/Deployment kustomize-controller"
	wantPatches := []Patch{
		{
			Origin: Origin{Path: "flux.yaml", Line: 16, Instance: "flux-system/flux"}, List: "spec.kustomize.patches", Kind: JSON6902,
			Target: "kind=Deployment name=kustomize-controller", Matched: []string{name},
			Changes: []Change{{Target: name, Field: "/spec/replicas", Before: int64(1), After: int64(2)}},
		},
		{
			Origin: Origin{Path: "flux.yaml", Line: 22, Instance: "flux-system/flux"}, List: "spec.kustomize.patches", Index: 1, Kind: JSON6902,
			Target: "kind=Deployment namespace=flux-system", Comment: "the namespace comes later",
		},
	}
	if diff := cmp.Diff(wantPatches, got.Patches); diff != "" {
		t.Errorf("patches (-want +got):\n%s", diff)
	}
	deployment := find(t, got, "Deployment", "kustomize-controller")
	if want := (Origin{Path: "flux.yaml", Line: 2, Instance: "flux-system/flux"}); deployment.Origin != want {
		t.Errorf("origin = %v, want %v", deployment.Origin, want)
	}
	wantLabels := map[string]string{
		"app.kubernetes.io/component": "kustomize-controller", "app.kubernetes.io/instance": "flux-system", "app.kubernetes.io/part-of": "flux",
		"app.kubernetes.io/version": "v2.9.4", "control-plane": "controller", "team": "platform",
		"app.kubernetes.io/managed-by": "flux-operator", "fluxcd.controlplane.io/name": "flux", "fluxcd.controlplane.io/namespace": "flux-system",
	}
	if diff := cmp.Diff(wantLabels, deployment.Object.GetLabels()); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if replicas, _, _ := unstructured.NestedInt64(deployment.Object.Object, "spec", "replicas"); replicas != 2 {
		t.Errorf("replicas = %d, want 2", replicas)
	}
	containers, _, _ := unstructured.NestedSlice(deployment.Object.Object, "spec", "template", "spec", "containers")
	image, _ := containers[0].(map[string]any)["image"].(string)
	if !strings.HasPrefix(image, "ghcr.io/fluxcd/kustomize-controller:v1.9.4@sha256:") {
		t.Errorf("image = %s, want the pinned one", image)
	}
	source := find(t, got, "GitRepository", "flux-system").Object.Object["spec"]
	wantSource := map[string]any{
		"interval": "1m0s", "url": "https://example.com/fleet.git", "ref": map[string]any{"name": "refs/heads/main"}, "secretRef": map[string]any{"name": "git"},
	}
	if diff := cmp.Diff(wantSource, source); diff != "" {
		t.Errorf("source (-want +got):\n%s", diff)
	}
}

// An inner patch that an overlay puts into the FluxInstance is written there.
func TestInnerPatchesOfAnOverlay(t *testing.T) {
	data := filepath.Join(operatorModule(t), "config", "data")
	const replace = "      patch: '[{\"op\": \"replace\", \"path\": \"/spec/replicas\", \"value\": 2}]'\n"
	root := writeTree(t, map[string]string{
		"flux.yaml": validInstance + "  kustomize:\n    patches:\n    - target: {kind: Deployment, name: helm-controller}\n" + replace,
		"kustomization.yaml": `resources: [flux.yaml]
patches:
- target: {kind: FluxInstance}
  patch: |
    - op: add
      path: /spec/kustomize/patches/-
      value:
        target: {kind: Deployment, name: nobody}
        patch: '[{"op": "replace", "path": "/spec/replicas", "value": 3}]'
`,
	})
	got, err := Render(t.Context(), Options{Path: root, Root: root, Distribution: data})
	if err != nil {
		t.Fatal(err)
	}
	var origins []Origin
	for _, p := range got.Patches {
		origins = append(origins, p.Origin)
	}
	want := []Origin{
		{Path: "kustomization.yaml", Line: 3},
		{Path: "flux.yaml", Line: 12, Instance: "flux-system/flux"},
		{Path: "kustomization.yaml", Line: 3, Instance: "flux-system/flux"},
	}
	if diff := cmp.Diff(want, origins); diff != "" {
		t.Errorf("origins (-want +got):\n%s", diff)
	}
}

func find(t *testing.T, r *Result, kind, name string) Object {
	t.Helper()
	for _, object := range r.Objects {
		if object.Object.GetKind() == kind && object.Object.GetName() == name {
			return object
		}
	}
	t.Fatalf("there is no %s %s", kind, name)
	return Object{}
}

func TestShardsAreControllersOfTheirOwn(t *testing.T) {
	data := filepath.Join(operatorModule(t), "config", "data")
	root := writeTree(t, map[string]string{"flux.yaml": validInstance + "  storage: {class: standard, size: 10Gi}\n  sharding: {shards: [s1], storage: persistent}\n"})
	got, err := Render(t.Context(), Options{Path: root, Root: root, Distribution: data})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, object := range got.Objects {
		switch object.Object.GetKind() {
		case "Deployment", "PersistentVolumeClaim", "Service":
			names = append(names, object.Object.GetKind()+" "+object.Object.GetName())
		}
	}
	want := []string{
		"Service notification-controller", "Service source-controller", "Service source-controller-s1", "Service webhook-receiver",
		"PersistentVolumeClaim source-controller", "PersistentVolumeClaim source-controller-s1",
		"Deployment helm-controller", "Deployment helm-controller-s1", "Deployment kustomize-controller", "Deployment kustomize-controller-s1",
		"Deployment notification-controller", "Deployment source-controller", "Deployment source-controller-s1",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
}

// A gotk-components.yaml gives the same as the base manifests that it was made
// from.
func TestDistributionsAreEqual(t *testing.T) {
	base := filepath.Join(operatorModule(t), "config", "data", "flux", "v2.9.4")
	work := t.TempDir()
	if err := os.CopyFS(filepath.Join(work, "base"), os.DirFS(base)); err != nil {
		t.Fatal(err)
	}
	options := install.MakeDefaultOptions()
	options.Version = "v2.9.4"
	options.Components = allComponents()
	manifest, err := install.Generate(options, filepath.Join(work, "base"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(work, "gotk-components.yaml")
	if err := os.WriteFile(file, []byte(manifest.Content), 0o600); err != nil {
		t.Fatal(err)
	}
	root := writeTree(t, map[string]string{"flux.yaml": validInstance + "  components: [source-controller, kustomize-controller, notification-controller, source-watcher]\n"})
	render := func(distribution string) []map[string]any {
		got, err := Render(t.Context(), Options{Path: root, Root: root, Distribution: distribution})
		if err != nil {
			t.Fatal(err)
		}
		var out []map[string]any
		for _, object := range got.Objects {
			out = append(out, object.Object.Object)
		}
		return out
	}
	if diff := cmp.Diff(render(base), render(file)); diff != "" {
		t.Errorf("objects (-folder +gotk-components.yaml):\n%s", diff)
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	d := &distribution{versions: map[string]string{"v2.8.8": "", "v2.9.0": "", "v2.9.4": "", "v2.10.0": ""}}
	nameless := &distribution{versions: map[string]string{"": "."}}
	for title, tc := range map[string]struct {
		dist       *distribution
		rule, want string
		wantErr    string
	}{
		"any of a major version":  {dist: d, rule: "2.x", want: "v2.10.0"},
		"any of a minor version":  {dist: d, rule: "2.9.x", want: "v2.9.4"},
		"exact":                   {dist: d, rule: "=2.9.0", want: "v2.9.0"},
		"exact with a v":          {dist: d, rule: "v2.8.8", want: "v2.8.8"},
		"range":                   {dist: d, rule: ">=2.8.0 <2.10.0", want: "v2.9.4"},
		"none":                    {dist: d, rule: "2.7.x", wantErr: `the distribution has no version "2.7.x": it has v2.8.8 to v2.10.0`},
		"no range":                {dist: d, rule: "latest", wantErr: `version "latest" is not a version or a range of versions: improper constraint: "latest"`},
		"a folder without a name": {dist: nameless, rule: "=2.9.4", want: "v2.9.4"},
		"and a range":             {dist: nameless, rule: "2.9.x", wantErr: `the distribution does not say its version: put it into a folder named for it, as v2.9.4, or set an exact version in place of "2.9.x"`},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			got, err := tc.dist.resolve(tc.rule)
			if tc.wantErr != "" {
				if err == nil || err.Error() != tc.wantErr {
					t.Errorf("error = %v\nwant    %s", err, tc.wantErr)
				}
				return
			}
			if err != nil || got != tc.want {
				t.Errorf("version = %s, %v, want %s", got, err, tc.want)
			}
		})
	}
}

// The order is the one in which flux-operator v0.58.0 applies them.
func TestArguments(t *testing.T) {
	data := filepath.Join(operatorModule(t), "config", "data")
	const all = "  components: [source-controller, kustomize-controller, notification-controller, source-watcher]\n"
	for title, tc := range map[string]struct {
		spec string
		want []string // after those that every controller has
	}{
		"without workload identity": {
			spec: "  cluster: {size: small}\n",
			want: []string{"--concurrent=5", "--requeue-dependency=10s", "--feature-gates=ObjectLevelWorkloadIdentity=false"},
		},
		"all at once": {
			spec: all + "  cluster: {size: large, multitenant: true, objectLevelWorkloadIdentity: true, multitenantWorkloadIdentity: true, tenantDefaultServiceAccount: flux}\n  sharding: {shards: [a]}\n",
			want: []string{
				"--watch-label-selector=!sharding.fluxcd.io/key", "--concurrent=20", "--requeue-dependency=5s",
				"--no-cross-namespace-refs=true", "--no-remote-bases=true", "--default-service-account=flux",
				"--feature-gates=ExternalArtifact=true", "--feature-gates=ObjectLevelWorkloadIdentity=true",
				"--default-decryption-service-account=default", "--default-kubeconfig-service-account=default",
			},
		},
	} {
		t.Run(title, func(t *testing.T) {
			root := writeTree(t, map[string]string{"flux.yaml": validInstance + tc.spec})
			got, err := Render(t.Context(), Options{Path: root, Root: root, Distribution: data})
			if err != nil {
				t.Fatal(err)
			}
			containers, _, _ := unstructured.NestedSlice(find(t, got, "Deployment", "kustomize-controller").Object.Object, "spec", "template", "spec", "containers")
			args, _, _ := unstructured.NestedStringSlice(containers[0].(map[string]any), "args")
			if diff := cmp.Diff(tc.want, args[5:]); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
			rules, _, _ := unstructured.NestedSlice(find(t, got, "ClusterRole", "crd-controller-flux-system").Object.Object, "rules")
			makesTokens := strings.Contains(fmt.Sprint(rules), "serviceaccounts/token")
			if want := strings.Contains(tc.spec, "objectLevelWorkloadIdentity"); makesTokens != want {
				t.Errorf("the controllers may make tokens: %t, want %t", makesTokens, want)
			}
		})
	}
}

func TestInstanceMistakes(t *testing.T) {
	data := filepath.Join(operatorModule(t), "config", "data")
	for title, tc := range map[string]struct{ text, distribution, want string }{
		"inner patch with a bad pointer": {
			text: validInstance + "  kustomize:\n    patches:\n    - target: {kind: Deployment, name: helm-controller}\n      patch: |\n        - op: replace\n          path: /spec/nope/x\n          value: 1\n",
			want: "flux.yaml:12: apply the patch to kind=Deployment name=helm-controller: replace operation does not apply: doc is missing path: /spec/nope/x: missing value",
		},
		"version that is not there": {
			text: strings.Replace(validInstance, "2.9.x", "1.x", 1),
			want: `flux.yaml:8: FluxInstance flux-system/flux: the distribution has no version "1.x": it has v2.2.3 to v2.9.4`,
		},
		"component that the version has not": {
			text: strings.Replace(validInstance, "2.9.x", "2.6.4", 1) + "  components: [source-controller, source-watcher]\n",
			want: "flux.yaml:7: FluxInstance flux-system/flux: the distribution of Flux v2.6.4 has no source-watcher",
		},
		"distribution that is not there": {
			text: validInstance, distribution: "/does/not/exist",
			want: "open the distribution /does/not/exist: no such file or directory",
		},
		"distribution of something else": {
			text: validInstance, distribution: filepath.Join(data, "flux-images"),
			want: "open the distribution " + filepath.Join(data, "flux-images") + ": it holds no version of Flux: ",
		},
	} {
		t.Run(title, func(t *testing.T) {
			root := writeTree(t, map[string]string{"flux.yaml": tc.text})
			distribution := tc.distribution
			if distribution == "" {
				distribution = data
			}
			_, err := Render(t.Context(), Options{Path: root, Root: root, Distribution: distribution})
			mistake(t, err, tc.want)
		})
	}
}

func BenchmarkInstance(b *testing.B) {
	data := filepath.Join(operatorModule(b), "config", "data")
	root := b.TempDir()
	if err := os.WriteFile(filepath.Join(root, "flux.yaml"), []byte(validInstance+"  cluster: {size: large}\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Render(b.Context(), Options{Path: root, Root: root, Distribution: data}); err != nil {
			b.Fatal(err)
		}
	}
}

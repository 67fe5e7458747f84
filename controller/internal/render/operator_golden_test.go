package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// operatorModule is flux-operator's folder in the module cache, at the version
// of tools/flux/go.mod. Its recorded renders and distributions are read there
// and nowhere kept.
func operatorModule(tb testing.TB) string {
	tb.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", "github.com/controlplaneio-fluxcd/flux-operator")
	cmd.Dir = filepath.Join("..", "..", "..", "tools", "flux")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("download flux-operator's module: %v: %s", err, out)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil || module.Dir == "" {
		tb.Fatalf("read the answer of go mod download: %v: %s", err, out)
	}
	return module.Dir
}

func TestTheKustomizationIsFluxOperators(t *testing.T) {
	recorded := filepath.Join(operatorModule(t), "internal", "builder", "testdata")
	const six = `components: [source-controller, kustomize-controller, helm-controller, notification-controller, image-reflector-controller, image-automation-controller]
`
	for name, tc := range map[string]struct {
		version, golden string
		// shard whose kustomization is meant, in place of the whole one.
		shard string
		spec  string
	}{
		"defaults": {version: "v2.3.0", golden: "default", spec: six},
		"patches": {version: "v2.3.0", golden: "patches", spec: six + `
kustomize:
  patches:
  - target: {kind: Namespace}
    patch: |
      - op: remove
        path: /metadata/labels/pod-security.kubernetes.io~1warn
      - op: remove
        path: /metadata/labels/pod-security.kubernetes.io~1warn-version
`},
		"profiles":     {version: "v2.3.0", golden: "profiles", spec: six + "cluster: {type: openshift, multitenant: true}\n"},
		"storage":      {version: "v2.3.0", golden: "storage", spec: six + "storage: {class: standard, size: 10Gi}\n"},
		"sync":         {version: "v2.3.0", golden: "sync", spec: six + "sync: {kind: GitRepository, url: 'https://example.com/fleet.git', ref: refs/heads/main, path: clusters/a}\n"},
		"small":        {version: "v2.6.0", golden: "size.small", spec: six + "cluster: {size: small}\n"},
		"medium":       {version: "v2.6.0", golden: "size.medium", spec: six + "cluster: {size: medium}\n"},
		"large":        {version: "v2.6.0", golden: "size.large", spec: six + "cluster: {size: large}\n"},
		"shards":       {version: "v2.6.0", golden: "sharding", spec: six + "storage: {class: standard, size: 10Gi}\nsharding: {shards: [shard1, shard2], storage: persistent}\n"},
		"first shard":  {version: "v2.6.0", golden: "shard1", shard: "shard1", spec: six + "storage: {class: standard, size: 10Gi}\nsharding: {shards: [shard1, shard2], storage: persistent}\n"},
		"second shard": {version: "v2.6.0", golden: "shard2", shard: "shard2", spec: six + "storage: {class: standard, size: 10Gi}\nsharding: {shards: [shard1, shard2], storage: persistent}\n"},
		"source-watcher": {
			version: "v2.7.0", golden: "source-watcher",
			spec: "components: [source-controller, kustomize-controller, helm-controller, notification-controller, source-watcher]\n",
		},
		"shards on OpenShift": {
			version: "v2.3.0", golden: "sharding",
			spec: six + "storage: {class: standard, size: 10Gi}\ncluster: {type: openshift, multitenant: true}\nsharding: {shards: [shard1, shard2]}\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			want, err := os.ReadFile(filepath.Join(recorded, tc.version+"-golden", tc.golden+".kustomization.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			var spec map[string]any
			if err := yaml.Unmarshal([]byte(tc.spec), &spec); err != nil {
				t.Fatal(err)
			}
			spec["distribution"] = map[string]any{"version": tc.version, "registry": "ghcr.io/fluxcd"}
			in, wrong := readInstance(map[string]any{
				"apiVersion": "fluxcd.controlplane.io/v1", "kind": "FluxInstance",
				"metadata": map[string]any{"name": "flux", "namespace": "flux-system"}, "spec": spec,
			})
			if wrong != nil {
				t.Fatal(wrong.err)
			}
			dist, err := openFolder(os.DirFS(filepath.Join(recorded, tc.version)), tc.version)
			if err != nil {
				t.Fatal(err)
			}
			o := operator{spec: in.Spec, namespace: "flux-system", version: tc.version, dist: dist}
			k, _, err := o.kustomization()
			if err != nil {
				t.Fatal(err)
			}
			if tc.shard != "" {
				k = o.shard(tc.shard)
			}
			got, err := yaml.Marshal(k)
			if err != nil {
				t.Fatal(err)
			}
			recorded, rendered := meaning(t, want), meaning(t, got)
			rendered["patches"] = recordable(recorded["patches"].([]any), rendered["patches"].([]any))
			if diff := cmp.Diff(recorded, rendered); diff != "" {
				t.Errorf("kustomization (-flux-operator +render):\n%s", diff)
			}
		})
	}
}

// recordable are the patches of a render without those that flux-operator adds on a
// cluster, and only in some of its recorded kustomizations. What it applies on a
// cluster, which test/e2e compares, has them always.
func recordable(recorded, rendered []any) []any {
	return slices.DeleteFunc(rendered, func(patch any) bool {
		text, target := fmt.Sprint(patch), patch.(map[string]any)["target"].(map[string]any)
		onCluster := target["kind"] == "CustomResourceDefinition" || target["kind"] == "ClusterRole" || strings.Contains(text, "ObjectLevelWorkloadIdentity=false")
		return onCluster && !slices.ContainsFunc(recorded, func(other any) bool { return cmp.Equal(other, patch) })
	})
}

// meaning is a kustomization whose patches are no text but what the text says.
func meaning(t *testing.T, content []byte) map[string]any {
	t.Helper()
	var k map[string]any
	if err := yaml.Unmarshal(bytes.TrimSpace(content), &k); err != nil {
		t.Fatal(err)
	}
	patches, ok := k["patches"].([]any)
	if !ok {
		t.Fatalf("there are no patches:\n%s", content)
	}
	for _, entry := range patches {
		patch := entry.(map[string]any)
		text, ok := patch["patch"].(string)
		if !ok {
			continue
		}
		var parsed any
		if err := yaml.Unmarshal([]byte(text), &parsed); err != nil {
			t.Fatal(err)
		}
		patch["patch"] = parsed
	}
	return k
}

package flux

import (
	"testing"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

func TestProfileOf(t *testing.T) {
	t.Parallel()
	tests := map[string]v1alpha1.Profile{
		"source-controller":                 v1alpha1.ProfileSingleton,
		"source-watcher":                    v1alpha1.ProfileSingleton,
		"kustomize-controller":              v1alpha1.ProfileStandby,
		"image-automation-controller":       v1alpha1.ProfileStandby,
		"flux-operator":                     v1alpha1.ProfileStandby,
		"coredns":                           v1alpha1.ProfileActiveActive,
		"source-controller-shard1":          v1alpha1.ProfileSingleton,
		"source-watcher-team-a":             v1alpha1.ProfileSingleton,
		"kustomize-controller-shard1":       v1alpha1.ProfileStandby,
		"helm-controller-source-controller": v1alpha1.ProfileStandby,
		"source-controllers":                "",
		"my-source-controller":              "",
		"source":                            "",
		"coredns-autoscaler":                "",
		"flux-operator-mcp":                 "",
		"unheard-of":                        "",
		"":                                  "",
	}
	for name, want := range tests {
		if got, known := ProfileOf(name, map[string]string{"app.kubernetes.io/part-of": "flux"}); got != want || known != (want != "") {
			t.Errorf("profile of %q is %q, %t, want %q", name, got, known, want)
		}
	}
	for name, want := range map[string]v1alpha1.Profile{"source-controller": v1alpha1.ProfileSingleton, "source-controller-manager": ""} {
		if got, _ := ProfileOf(name, nil); got != want {
			t.Errorf("profile of %q without the label of Flux is %q, want %q", name, got, want)
		}
	}
}

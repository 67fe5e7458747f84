package flux

import (
	"testing"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

func TestProfiles(t *testing.T) {
	t.Parallel()
	want := map[string]v1alpha1.Profile{
		"source-controller":    v1alpha1.ProfileSingleton,
		"source-watcher":       v1alpha1.ProfileSingleton,
		"kustomize-controller": v1alpha1.ProfileStandby,
		"coredns":              v1alpha1.ProfileActiveActive,
		"unheard-of":           "",
	}
	for name, profile := range want {
		if got := Profiles()[name]; got != profile {
			t.Errorf("profile of %s is %q, want %q", name, got, profile)
		}
	}

	Profiles()["source-controller"] = v1alpha1.ProfileStandby
	if got := Profiles()["source-controller"]; got != v1alpha1.ProfileSingleton {
		t.Errorf("a caller's change is seen by others: %s", got)
	}
}

package flux

import "github.com/mainstay-dev/mainstay/controller/api/v1alpha1"

// Profiles are how the controllers of Flux, flux-operator and CoreDNS stay
// available, by the name of their Deployment. The map is the caller's own.
//
// A second source-controller or source-watcher never becomes Ready, because the
// file server that its readiness probe asks starts on the leader only: the
// Deployment is never available, and what waits for it is frozen
// (fluxcd/source-controller#837). The other controllers are leader-elected with
// standbys that are Ready.
func Profiles() map[string]v1alpha1.Profile {
	return map[string]v1alpha1.Profile{
		"kustomize-controller":        v1alpha1.ProfileStandby,
		"helm-controller":             v1alpha1.ProfileStandby,
		"notification-controller":     v1alpha1.ProfileStandby,
		"image-reflector-controller":  v1alpha1.ProfileStandby,
		"image-automation-controller": v1alpha1.ProfileStandby,
		"flux-operator":               v1alpha1.ProfileStandby,
		"source-controller":           v1alpha1.ProfileSingleton,
		"source-watcher":              v1alpha1.ProfileSingleton,
		"coredns":                     v1alpha1.ProfileActiveActive,
	}
}

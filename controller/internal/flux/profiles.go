package flux

import (
	"strings"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// ProfileOf is how a controller of Flux or one of its shards, flux-operator or
// CoreDNS stays available, by the name of its Deployment; false for others. A
// shard is called after its controller, with a suffix after a dash, and has the
// label of Flux: source-controller-manager may be something else. Of several
// controllers that its name begins with, the longest is meant.
//
// A second source-controller or source-watcher never becomes Ready, because the
// file server that its readiness probe asks starts on the leader only: the
// Deployment is never available, and what waits for it is frozen
// (fluxcd/source-controller#837). The other controllers are leader-elected with
// standbys that are Ready.
func ProfileOf(name string, labels map[string]string) (v1alpha1.Profile, bool) {
	// These have no shards: coredns-autoscaler is something else.
	switch name {
	case "flux-operator":
		return v1alpha1.ProfileStandby, true
	case "coredns":
		return v1alpha1.ProfileActiveActive, true
	}
	for end := len(name); end > 0; end = strings.LastIndexByte(name[:end], '-') {
		if end < len(name) && labels["app.kubernetes.io/part-of"] != "flux" {
			break
		}
		switch name[:end] {
		case "kustomize-controller", "helm-controller", "notification-controller",
			"image-reflector-controller", "image-automation-controller":
			return v1alpha1.ProfileStandby, true
		case "source-controller", "source-watcher":
			return v1alpha1.ProfileSingleton, true
		}
	}
	return "", false
}

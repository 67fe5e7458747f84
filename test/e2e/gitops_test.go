//go:build e2e

package e2e

import (
	"testing"

	"github.com/mainstay-dev/mainstay/test/fluxrun"
	"github.com/mainstay-dev/mainstay/test/images"
)

// TestGitOps goes the way of one cluster: Flux as it is released and the incident that
// happens to it, then the patches, Mainstay from Git, a bad rule, and Mainstay's end.
func TestGitOps(t *testing.T) {
	t.Parallel()
	s := start(t, fluxrun.Options{}, images.Mainstay)
	ok := t.Run("stock Flux does not survive a broken ClusterIP datapath", s.incident) &&
		t.Run("the patches roll out", s.patch) &&
		t.Run("Flux installs Mainstay from Git", s.install) &&
		t.Run("the Lifeline says where everything is", s.lifeline) &&
		t.Run("a bad rule in Git hurts only itself", s.badRuleInGit) &&
		t.Run("Flux recovers a cluster with no pod of Mainstay", s.unattended) &&
		t.Run("Flux removes Mainstay", s.removed)
	if !ok {
		t.Error("what follows was not tried")
	}
}

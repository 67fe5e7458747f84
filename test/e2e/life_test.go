//go:build e2e

package e2e

import (
	"testing"

	"github.com/mainstay-dev/mainstay/test/fluxrun"
	"github.com/mainstay-dev/mainstay/test/images"
)

// TestPackageLife goes the way of the package on one cluster: installed from Git,
// changed, upgraded, rolled back, and removed in every order, after each of which it is
// installed again.
func TestPackageLife(t *testing.T) {
	t.Parallel()
	s := start(t, fluxrun.Options{Components: []string{"patches/flux-ha", prompt}},
		images.Mainstay, images.MainstayNext)
	ok := t.Run("Flux installs Mainstay from Git", s.install) &&
		t.Run("somebody uses it", s.use) &&
		t.Run("a rule changes", s.ruleChanges) &&
		t.Run("a version with more fields, and back", s.upgradeAndBack)
	for _, order := range s.removals() {
		ok = ok && t.Run(order.name, func(t *testing.T) { s.removedAndBack(t, order.remove) })
	}
	if !ok {
		t.Error("what follows was not tried")
	}
}

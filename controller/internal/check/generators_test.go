package check_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
)

// What a controller makes of an object is not rendered, and that is said.
func TestWhatIsNotRendered(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString("apiVersion: fluxcd.controlplane.io/v1\nkind: ResourceSet\nmetadata: {name: all, namespace: ns}\n")
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		text.WriteString("---\napiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: " + name + ", namespace: ns}\n")
	}
	const release = "helm.toolkit.fluxcd.io/v2/HelmRelease ns/"
	want := []string{"what is made of 6 objects is not rendered, so it is not judged: fluxcd.controlplane.io/v1/ResourceSet ns/all, " +
		release + "a, " + release + "b, " + release + "c, " + release + "d and 1 more"}
	if diff := cmp.Diff(want, notes(checked(t, check.Options{}, rendered(t, text.String())))); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
	if got := notes(checked(t, check.Options{}, rendered(t, web))); len(got) > 0 {
		t.Errorf("notes %q, want none", got)
	}
}

package flux_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/builders"
)

// acting are the rights, as role: verb group/resource, that Mainstay's account has
// on objects of Kubernetes itself beyond reading them.
func acting(t *testing.T, manifests []byte) []string {
	t.Helper()
	all := builders.Objects(t, manifests)
	var out []string
	for _, obj := range all {
		var role rbacv1.RoleRef
		switch obj.GetKind() {
		case "ClusterRoleBinding":
			var binding rbacv1.ClusterRoleBinding
			convert(t, obj, &binding)
			role = binding.RoleRef
		case "RoleBinding":
			var binding rbacv1.RoleBinding
			convert(t, obj, &binding)
			role = binding.RoleRef
		default:
			continue
		}
		// A Role has the same rules, and may be called as a ClusterRole is.
		var bound rbacv1.ClusterRole
		convert(t, find(t, all, role.Kind, role.Name), &bound)
		for _, rule := range bound.Rules {
			for _, group := range rule.APIGroups {
				if !slices.Contains([]string{"", "apps", "autoscaling", "batch", "policy", "*"}, group) {
					continue
				}
				for _, verb := range rule.Verbs {
					if !slices.Contains([]string{"get", "list", "watch"}, verb) {
						out = append(out, role.Name+": "+verb+" "+group+"/"+strings.Join(rule.Resources, ","))
					}
				}
			}
		}
	}
	return out
}

func TestRightsToActAreInARoleOfTheirOwn(t *testing.T) {
	t.Parallel()
	base := build(t, "manifests/base")
	// The Secret is Mainstay's own, as is the namespace that the Role is in.
	own := []string{"mainstay: create /secrets", "mainstay: update /secrets"}
	if diff := cmp.Diff(append([]string{"mainstay-heal: create /pods/eviction"}, own...), acting(t, base)); diff != "" {
		t.Errorf("rights of the base (-want +got):\n%s", diff)
	}
	observing := withPatches(t, base, "manifests/components/observe-only")
	if diff := cmp.Diff(own, acting(t, observing)); diff != "" {
		t.Errorf("rights with observe-only (-want +got):\n%s", diff)
	}
	// Nothing else changes.
	want, got := byName(t, base), byName(t, observing)
	delete(want, "ClusterRole/mainstay-heal")
	delete(want, "ClusterRoleBinding/mainstay-heal")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("objects with observe-only (-want +got):\n%s", diff)
	}
}

func TestObserveOnlySwitchesEveryLifelineOff(t *testing.T) {
	t.Parallel()
	const defaulted = "\n---\napiVersion: mainstay.dev/v1alpha1\nkind: Lifeline\nmetadata: {name: own, namespace: shop}\nspec: {selector: {}}\n"
	manifests := append(slices.Clone(build(t, "manifests/rules")), defaulted...)
	lifelines := 0
	for _, obj := range builders.Objects(t, withPatches(t, manifests, "manifests/components/observe-only")) {
		if obj.GetKind() != "Lifeline" {
			continue
		}
		lifelines++
		var lifeline v1alpha1.Lifeline
		convert(t, obj, &lifeline)
		if lifeline.Spec.Heal.Mode != v1alpha1.HealOff {
			t.Errorf("Lifeline %s heals: %s, want Off", lifeline.Name, lifeline.Spec.Heal.Mode)
		}
	}
	if lifelines != 4 {
		t.Errorf("%d Lifelines, want 4", lifelines)
	}
}

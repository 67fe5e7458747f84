//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/e2e/gitops"
	"github.com/mainstay-dev/mainstay/test/images"
)

// ruleChanges merges another severity of a rule.
func (s *suite) ruleChanges(t *testing.T) {
	const file = "manifests/rules/flux-singleton-replicas.yaml"
	changed := changeFile(t, s.projectFile(t, file), func(rule map[string]any) error {
		return unstructured.SetNestedField(rule, "high", "spec", "severity")
	})
	s.deliver(t, s.images[images.Mainstay].Ref, func(ctx context.Context) (string, error) {
		return s.repos.Project.Commit(ctx, "Change a severity", map[string][]byte{file: changed})
	})
	var rule v1alpha1.ClusterRule
	if err := s.client.Get(t.Context(), types.NamespacedName{Name: "flux-singleton-replicas"}, &rule); err != nil {
		t.Fatal(err)
	}
	if rule.Spec.Severity != v1alpha1.SeverityHigh || rule.Status.ObservedGeneration != rule.Generation {
		t.Errorf("the rule has the severity %s, and a status of generation %d of %d; want high, and the same",
			rule.Spec.Severity, rule.Status.ObservedGeneration, rule.Generation)
	}
}

// upgradeAndBack merges a version whose objects have one more field, has somebody use
// the field, and reverts the commit.
func (s *suite) upgradeAndBack(t *testing.T) {
	next, reverted := s.nextVersion(t), map[string][]byte{}
	for name := range next {
		reverted[name] = s.projectFile(t, name)
	}
	before := s.kept(t)
	s.deliver(t, s.images[images.MainstayNext].Ref, func(ctx context.Context) (string, error) {
		return s.repos.Project.Commit(ctx, "Release the next version", next)
	})
	s.saysVersion(t, tagOf(s.images[images.MainstayNext].Ref))
	stays(t, "the upgrade", before, s.kept(t))

	s.useAddedField(t)
	before = s.kept(t)
	s.deliver(t, s.images[images.Mainstay].Ref, func(ctx context.Context) (string, error) {
		return s.repos.Project.Commit(ctx, "Revert the next version", reverted)
	})
	s.saysVersion(t, tagOf(s.images[images.Mainstay].Ref))
	stays(t, "the roll-back", before, s.kept(t))
	for _, object := range s.shopObjects(t) {
		if _, there, _ := unstructured.NestedString(object.Object, "spec", addedField); there {
			t.Errorf("%s %s has the field of the next version, which its definition has no more", object.GetKind(), object.GetName())
		}
	}
}

// useAddedField writes the added field, and others, to the shop's objects, and waits
// until the program has seen them. It knows nothing of the field and has to keep it.
func (s *suite) useAddedField(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	patches := map[string]string{
		"ClusterRule": `{"spec":{"severity":"critical","` + addedField + `":"kept"}}`,
		"Rule":        `{"spec":{"severity":"critical","` + addedField + `":"kept"}}`,
		"Lifeline":    `{"spec":{"heal":{"maxEvictionsPerHour":7},"` + addedField + `":"kept"}}`,
	}
	for _, object := range s.shopObjects(t) {
		if object.GetKind() == "Intervention" {
			continue
		}
		if err := s.client.Patch(ctx, &object, client.RawPatch(types.MergePatchType, []byte(patches[object.GetKind()]))); err != nil {
			t.Fatal(err)
		}
	}
	// The spec of an Intervention never changes: another one, of nobody's.
	found, err := s.intervention(ctx)
	if err != nil {
		t.Fatal(err)
	}
	claim, err := get(ctx, s.client, v1alpha1.GroupVersion.String(), "Intervention", found.Namespace, found.Name)
	if err != nil {
		t.Fatal(err)
	}
	spec := claim.Object["spec"].(map[string]any)
	spec[addedField] = "kept"
	spec["owner"].(map[string]any)["uid"] = "00000000-0000-0000-0000-000000000000"
	object := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	object.SetGroupVersionKind(claim.GroupVersionKind())
	object.SetNamespace(claim.GetNamespace())
	object.SetName(byHand)
	if err := s.client.Create(ctx, object); err != nil {
		t.Fatal(err)
	}
	s.mainstayRuns(t)
	for _, object := range s.shopObjects(t) {
		value, _, _ := unstructured.NestedString(object.Object, "spec", addedField)
		if want := object.GetKind() != "Intervention" || object.GetName() == byHand; want != (value == "kept") {
			t.Errorf("%s %s has %s=%q", object.GetKind(), object.GetName(), addedField, value)
		}
	}
}

// saysVersion asks the program in each pod which version it is.
func (s *suite) saysVersion(t *testing.T, want string) {
	t.Helper()
	var pods corev1.PodList
	if err := s.client.List(t.Context(), &pods, client.InNamespace(gitops.Namespace)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for i := range pods.Items {
		out, err := s.cluster.Kubectl(ctx, "-n", gitops.Namespace, "exec", pods.Items[i].Name, "--", "/mainstay", "version")
		if err != nil || strings.TrimSpace(out) != want {
			t.Errorf("pod %s says that it is version %q, %v, want %s", pods.Items[i].Name, out, err, want)
		}
	}
}

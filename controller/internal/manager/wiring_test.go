package manager

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// definition reads a generated CRD.
func definition(t *testing.T, path string) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(content, &crd); err != nil {
		t.Fatal(err)
	}
	return &crd
}

func TestEveryActionOfTheAPIIsWired(t *testing.T) {
	t.Parallel()
	crd := definition(t, "../../../manifests/crd/mainstay.dev_interventions.yaml")
	schema := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"].Properties["action"]
	var want []string
	for _, value := range schema.Enum {
		var name string
		if err := yaml.Unmarshal(value.Raw, &name); err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
	}
	var got []string
	for name := range actions(nil, nil) {
		got = append(got, string(name))
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("actions in the schema and in the program (-schema +program):\n%s", diff)
	}
}

func TestEveryKindOfThePackageIsInTheScheme(t *testing.T) {
	t.Parallel()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob("../../../manifests/crd/mainstay.dev_*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no definitions: %v", err)
	}
	for _, path := range paths {
		kind := definition(t, path).Spec.Names.Kind
		if !scheme.Recognizes(v1alpha1.GroupVersion.WithKind(kind)) {
			t.Errorf("kind %s has a definition and is not in the scheme", kind)
		}
	}
}

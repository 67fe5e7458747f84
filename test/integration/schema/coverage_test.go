package schema_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// TestEveryMarkerHasACase compares the constraints in the generated schemas with
// those that the tables' errors speak of, so that a marker that is added without a
// case, or lost from the schema, is found out.
func TestEveryMarkerHasACase(t *testing.T) {
	t.Parallel()
	specs, statuses := specMarkers(), statusMarkers()
	for _, kind := range []string{clusterRule, rule, lifeline, intervention} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			want := map[string]bool{}
			constraints(want, "", definition(t, kind).Spec.Versions[0].Schema.OpenAPIV3Schema)
			// A namespaced Rule has no namespaceSelector, so its parts are out of reach.
			maps.DeleteFunc(want, func(constraint string, _ bool) bool {
				return kind == rule && strings.HasPrefix(constraint, "spec.matchConstraints.namespaceSelector.")
			})
			var rejections []string
			for _, table := range []map[string]marker{specs[kind], statuses[kind]} {
				for _, tc := range table {
					rejections = append(rejections, strings.Split(tc.wantReject, "\n")...)
				}
			}
			if kind == intervention {
				for _, tc := range interventionUpdates() {
					if tc.want != "" {
						rejections = append(rejections, tc.want)
					}
				}
			}
			got := map[string]bool{}
			for _, line := range rejections {
				constraint := constraintOf(line)
				if constraint == "" {
					t.Errorf("no constraint is known that says %q", line)
				}
				got[constraint] = true
			}
			if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
				t.Errorf("constraints (-schema +cases):\n%s", diff)
			}
		})
	}
}

func definition(t *testing.T, kind string) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(env.crds, "mainstay.dev_"+strings.ToLower(kind)+"s.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(text, crd); err != nil {
		t.Fatal(err)
	}
	return crd
}

// constraints adds those of a schema and of everything in it, each as the field's
// path and what is asked of it.
func constraints(into map[string]bool, path string, schema *apiextensionsv1.JSONSchemaProps) {
	add := func(is bool, what string) {
		if is {
			into[path+" "+what] = true
		}
	}
	add(schema.Enum != nil, "enum")
	add(schema.Pattern != "", "pattern")
	add(schema.MinLength != nil, "minLength")
	add(schema.MaxLength != nil, "maxLength")
	add(schema.MinItems != nil, "minItems")
	add(schema.MaxItems != nil, "maxItems")
	add(schema.Minimum != nil, "minimum")
	add(schema.Maximum != nil, "maximum")
	add(schema.Format == "date-time", "date-time")
	if kind := schema.XListType; kind != nil && *kind != "atomic" {
		into[path+"[] unique"] = true
	}
	for _, validation := range schema.XValidations {
		into[strings.TrimPrefix(path+validation.FieldPath, ".")+" "+validation.Message] = true
	}
	for _, field := range schema.Required {
		into[strings.TrimPrefix(path+"."+field, ".")+" required"] = true
	}
	for field := range schema.Properties {
		property := schema.Properties[field]
		constraints(into, strings.TrimPrefix(path+"."+field, "."), &property)
	}
	if schema.Items != nil {
		constraints(into, path+"[]", schema.Items.Schema)
	}
}

// constraintOf is what an error of the API server is about, named as constraints
// does, and "" when it is not known.
func constraintOf(line string) string {
	field, message, _ := strings.Cut(line, ": ")
	field = regexp.MustCompile(`\[\d+\]`).ReplaceAllString(field, "[]")
	if field == "<nil>" {
		field = ""
	}
	for _, words := range []struct{ has, constraint string }{
		{has: "Required value", constraint: "required"},
		{has: "Unsupported value: ", constraint: "enum"},
		{has: "Duplicate value: ", constraint: "unique"},
		{has: "Too long: ", constraint: "maxLength"},
		{has: "Too many: ", constraint: "maxItems"},
		{has: " chars long", constraint: "minLength"},
		{has: " in body should have at least ", constraint: "minItems"},
		{has: " in body should match ", constraint: "pattern"},
		{has: " in body should be greater than or equal to ", constraint: "minimum"},
		{has: " in body should be less than or equal to ", constraint: "maximum"},
		{has: " in body must be of type date-time", constraint: "date-time"},
	} {
		if strings.Contains(message, words.has) {
			return field + " " + words.constraint
		}
	}
	// What is left is the message of a CEL rule, behind the value where it has one.
	for _, rule := range []string{
		"Same and All stand alone", "must be Same, All or names of namespaces", ownNamespaceOnly,
		noNamespaceSelector, claimNeverChanges, "must be between 5s and 24h",
		conditionBounds, variableBounds, validationBounds, denyOrWarn, selectorOperators,
	} {
		if strings.HasSuffix(message, rule) {
			return field + " " + rule
		}
	}
	return ""
}

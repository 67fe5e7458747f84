package schema_test

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// marker is one validation of one field: a change of the minimal object, in YAML,
// that is just good enough, one that is not, and what the API server says to it.
type marker struct {
	accept     string
	reject     string
	wantReject string
}

// specMarkers are the markers on what a user writes, by kind.
func specMarkers() map[string]map[string]marker {
	return map[string]map[string]marker{
		clusterRule:  union(ruleMarkers(), namespacesMarkers(clusterRule), anyNamespaceMarkers()),
		rule:         union(ruleMarkers(), namespacesMarkers(rule), ownNamespaceMarkers()),
		lifeline:     lifelineMarkers(),
		intervention: interventionMarkers(),
	}
}

// statusMarkers are the markers on what Mainstay writes, by kind.
func statusMarkers() map[string]map[string]marker {
	return map[string]map[string]marker{
		clusterRule:  union(ruleStatusMarkers(), conditionMarkers()),
		rule:         union(ruleStatusMarkers(), conditionMarkers()),
		lifeline:     union(lifelineStatusMarkers(), conditionMarkers()),
		intervention: interventionStatusMarkers(),
	}
}

func union(tables ...map[string]marker) map[string]marker {
	all := map[string]marker{}
	for _, table := range tables {
		maps.Copy(all, table)
	}
	return all
}

func TestSpecMarkers(t *testing.T) {
	t.Parallel()
	for kind, table := range specMarkers() {
		for name, tc := range table {
			t.Run(kind+"/"+name, func(t *testing.T) {
				t.Parallel()
				obj := minimal(t, kind, "marker")
				_, err := tryCreate(t.Context(), with(t, obj, tc.accept))
				if got := complaints(t, err); got != "" {
					t.Errorf("what should be accepted is not: %s", got)
				}
				_, err = tryCreate(t.Context(), with(t, obj, tc.reject))
				if diff := cmp.Diff(tc.wantReject, complaints(t, err)); diff != "" {
					t.Errorf("error (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestStatusMarkers(t *testing.T) {
	t.Parallel()
	for kind, table := range statusMarkers() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			create(t, minimal(t, kind, "status-marker"))
			for name, tc := range table {
				t.Run(name, func(t *testing.T) {
					if got := complaints(t, tryStatus(t, kind, tc.accept)); got != "" {
						t.Errorf("what should be accepted is not: %s", got)
					}
					if diff := cmp.Diff(tc.wantReject, complaints(t, tryStatus(t, kind, tc.reject))); diff != "" {
						t.Errorf("error (-want +got):\n%s", diff)
					}
				})
			}
		})
	}
}

// tryStatus sends a status that is then not kept.
func tryStatus(t *testing.T, kind, status string) error {
	t.Helper()
	patch, err := yaml.YAMLToJSON([]byte(status))
	if err != nil {
		t.Fatalf("%s: %v", status, err)
	}
	_, err = resource(kind).Patch(t.Context(), "status-marker", types.MergePatchType, patch, metav1.PatchOptions{
		DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict,
	}, "status")
	return err
}

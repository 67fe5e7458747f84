package schema_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

func TestDefaults(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		kind string
		set  string
		path []string
		want any
	}{
		"a ClusterRule's severity":        {kind: clusterRule, path: []string{"spec", "severity"}, want: "medium"},
		"a Rule's severity":               {kind: rule, path: []string{"spec", "severity"}, want: "medium"},
		"a severity that is set":          {kind: rule, set: `spec: {severity: low}`, path: []string{"spec", "severity"}, want: "low"},
		"a ClusterRule's modes":           {kind: clusterRule, path: []string{"spec", "modes"}, want: []any{"Audit"}},
		"modes that are set":              {kind: rule, set: `spec: {modes: [Admission]}`, path: []string{"spec", "modes"}, want: []any{"Admission"}},
		"a Rule's actions":                {kind: rule, path: []string{"spec", "validationActions"}, want: []any{"Deny"}},
		"actions that are set":            {kind: clusterRule, set: `spec: {validationActions: [Warn]}`, path: []string{"spec", "validationActions"}, want: []any{"Warn"}},
		"a ClusterRule's failure policy":  {kind: clusterRule, path: []string{"spec", "failurePolicy"}, want: "Fail"},
		"a failure policy that is set":    {kind: rule, set: `spec: {failurePolicy: Ignore}`, path: []string{"spec", "failurePolicy"}, want: "Ignore"},
		"suspend is left unset":           {kind: rule, path: []string{"spec", "suspend"}, want: nil},
		"references are left unset":       {kind: rule, path: []string{"spec", "references"}, want: nil},
		"a Lifeline's topology keys":      {kind: lifeline, path: []string{"spec", "topologyKeys"}, want: []any{"kubernetes.io/hostname"}},
		"topology keys that are set":      {kind: lifeline, set: `spec: {topologyKeys: [zone]}`, path: []string{"spec", "topologyKeys"}, want: []any{"zone"}},
		"heal without a word":             {kind: lifeline, path: []string{"spec", "heal"}, want: map[string]any{"mode": "DryRun", "maxEvictionsPerHour": int64(12)}},
		"heal that is empty":              {kind: lifeline, set: `spec: {heal: {}}`, path: []string{"spec", "heal"}, want: map[string]any{"mode": "DryRun", "maxEvictionsPerHour": int64(12)}},
		"evictions of a mode that is set": {kind: lifeline, set: `spec: {heal: {mode: Auto}}`, path: []string{"spec", "heal"}, want: map[string]any{"mode": "Auto", "maxEvictionsPerHour": int64(12)}},
		"the mode beside evictions":       {kind: lifeline, set: `spec: {heal: {maxEvictionsPerHour: 3}}`, path: []string{"spec", "heal"}, want: map[string]any{"mode": "DryRun", "maxEvictionsPerHour": int64(3)}},
		"lag is not on by itself":         {kind: lifeline, path: []string{"spec", "lag"}, want: nil},
		"a lag's threshold":               {kind: lifeline, set: `spec: {lag: {}}`, path: []string{"spec", "lag"}, want: map[string]any{"threshold": "2m"}},
		"a threshold that is set":         {kind: lifeline, set: `spec: {lag: {threshold: 90s}}`, path: []string{"spec", "lag"}, want: map[string]any{"threshold": "90s"}},
		// To Flux and kubectl wait, an object without it would be one that is well.
		"the generation of a status before the first": {
			kind: clusterRule, path: []string{"status"}, want: map[string]any{"observedGeneration": int64(-1)},
		},
		"that of a Rule":     {kind: rule, path: []string{"status"}, want: map[string]any{"observedGeneration": int64(-1)}},
		"that of a Lifeline": {kind: lifeline, path: []string{"status"}, want: map[string]any{"observedGeneration": int64(-1)}},
		"an Intervention has none": {
			kind: intervention, path: []string{"spec"}, want: minimal(t, intervention, "any").Object["spec"],
		},
		"a ClusterRule's reference": {
			kind: clusterRule, set: `spec: {references: [{name: pods, apiVersion: v1, kind: Pod}]}`, path: []string{"spec", "references"},
			want: []any{map[string]any{"name": "pods", "apiVersion": "v1", "kind": "Pod", "namespaces": []any{"Same"}}},
		},
		"a Rule's reference": {
			kind: rule, set: `spec: {references: [{name: pods, apiVersion: v1, kind: Pod}]}`, path: []string{"spec", "references"},
			want: []any{map[string]any{"name": "pods", "apiVersion": "v1", "kind": "Pod", "namespaces": []any{"Same"}}},
		},
		"namespaces that are null": {
			kind: rule, set: `spec: {references: [{name: pods, apiVersion: v1, kind: Pod, namespaces: null}]}`, path: []string{"spec", "references"},
			want: []any{map[string]any{"name": "pods", "apiVersion": "v1", "kind": "Pod", "namespaces": []any{"Same"}}},
		},
		"namespaces that are set": {
			kind: clusterRule, set: `spec: {references: [{name: pods, apiVersion: v1, kind: Pod, namespaces: [All]}]}`, path: []string{"spec", "references"},
			want: []any{map[string]any{"name": "pods", "apiVersion": "v1", "kind": "Pod", "namespaces": []any{"All"}}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			created, err := tryCreate(t.Context(), with(t, minimal(t, tc.kind, "defaults"), tc.set))
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := unstructured.NestedFieldNoCopy(created.Object, tc.path...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%v (-want +got):\n%s", tc.path, diff)
			}
		})
	}
}

// TestTypedDefaults has Lifelines from the Go types, which must leave out what is
// not set: a threshold of 0s would be a value, and not get the default.
func TestTypedDefaults(t *testing.T) {
	t.Parallel()
	healed := v1alpha1.Heal{Mode: v1alpha1.HealDryRun, MaxEvictionsPerHour: 12}
	hostname := []string{"kubernetes.io/hostname"}
	tests := map[string]struct {
		spec v1alpha1.LifelineSpec
		want v1alpha1.LifelineSpec
	}{
		"nothing is set": {
			want: v1alpha1.LifelineSpec{TopologyKeys: hostname, Heal: healed},
		},
		"a lag that is empty": {
			spec: v1alpha1.LifelineSpec{Lag: &v1alpha1.Lag{}},
			want: v1alpha1.LifelineSpec{
				TopologyKeys: hostname, Heal: healed, Lag: &v1alpha1.Lag{Threshold: metav1.Duration{Duration: 2 * time.Minute}},
			},
		},
		"a threshold that is set": {
			spec: v1alpha1.LifelineSpec{Lag: &v1alpha1.Lag{Threshold: metav1.Duration{Duration: 90 * time.Second}}},
			want: v1alpha1.LifelineSpec{
				TopologyKeys: hostname, Heal: healed, Lag: &v1alpha1.Lag{Threshold: metav1.Duration{Duration: 90 * time.Second}},
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obj := &v1alpha1.Lifeline{
				ObjectMeta: metav1.ObjectMeta{Name: "typed-defaults", Namespace: env.namespace}, Spec: tc.spec,
			}
			if err := env.typed.Create(t.Context(), obj, client.DryRunAll); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, obj.Spec); diff != "" {
				t.Errorf("spec (-want +got):\n%s", diff)
			}
		})
	}
}

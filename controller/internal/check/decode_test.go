package check_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
	"github.com/mainstay-dev/mainstay/controller/internal/render"
)

func TestObjectThatTheAPIServerWouldReject(t *testing.T) {
	t.Parallel()
	const pod = "template: {spec: {containers: [{name: main, image: x}]}}"
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"a known kind":                            {text: "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: a}\nspec: {" + pod + "}"},
		"a kind of somebody else's":               {text: "apiVersion: example.com/v1\nkind: Job\nmetadata: {name: a}\nspec: {what: ever}"},
		"a version that Kubernetes does not have": {text: "apiVersion: apps/v9\nkind: DaemonSet\nmetadata: {name: a}\nspec: {what: ever}"},
		"an unknown field": {
			text: "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {template: {spec: {toleration: [], containers: [{name: main, imag: x}]}}}",
			want: []string{
				`high object-invalid all.yaml:1 the API server would reject this Deployment: unknown field "spec.template.spec.containers[0].imag"`,
				`high object-invalid all.yaml:1 the API server would reject this Deployment: unknown field "spec.template.spec.toleration"`,
			},
		},
		"an unknown field outside of the spec": {
			text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, label: {}}\ndatas: {a: b}",
			want: []string{
				`high object-invalid all.yaml:1 the API server would reject this ConfigMap: unknown field "datas"`,
				`high object-invalid all.yaml:1 the API server would reject this ConfigMap: unknown field "metadata.label"`,
			},
		},
		"text for a number": {
			text: "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: two}",
			want: []string{"high object-invalid all.yaml:1 the API server would reject this Deployment: cannot unmarshal string into field spec.replicas"},
		},
		"a DaemonSet": {
			text: "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: a}\nspec: {replicas: 1, " + pod + "}",
			want: []string{`high object-invalid all.yaml:1 the API server would reject this DaemonSet: unknown field "spec.replicas"`},
		},
		"a StatefulSet": {
			text: "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: a}\nspec: {serviceName: [a], " + pod + "}",
			want: []string{"high object-invalid all.yaml:1 the API server would reject this StatefulSet: cannot unmarshal array into field spec.serviceName"},
		},
		"a Job": {
			text: "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\nspec: {backoffLimit: \"4\", " + pod + "}",
			want: []string{"high object-invalid all.yaml:1 the API server would reject this Job: cannot unmarshal string into field spec.backoffLimit"},
		},
		"a CronJob": {
			text: "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: a}\nspec: {schedule: '* * * * *', " + pod + "}",
			want: []string{`high object-invalid all.yaml:1 the API server would reject this CronJob: unknown field "spec.template"`},
		},
		"text for a number of pods": {
			text: budget("x", `minAvailable: "2"`),
			want: []string{`high object-invalid all.yaml:1 the API server would reject this PodDisruptionBudget: minAvailable is "2", and must be a number without quotes, or a percentage`},
		},
		"fewer than no pods": {
			text: budget("x", "maxUnavailable: -1"),
			want: []string{`high object-invalid all.yaml:1 the API server would reject this PodDisruptionBudget: maxUnavailable is "-1", and must be at least 0`},
		},
		"more than all pods": {
			text: budget("x", "maxUnavailable: 101%"),
			want: []string{`high object-invalid all.yaml:1 the API server would reject this PodDisruptionBudget: maxUnavailable is "101%", and must be at most 100%`},
		},
		"both numbers of pods": {
			text: budget("x", "minAvailable: 1\n  maxUnavailable: 1"),
			want: []string{"high object-invalid all.yaml:1 the API server would reject this PodDisruptionBudget: minAvailable and maxUnavailable cannot both be set"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := findings(checked(t, check.Options{}, rendered(t, tc.text)))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// One more unknown field is one more finding, and is blamed on the patch that set
// it.
func TestUnknownFieldIsBlamedOnItsPatch(t *testing.T) {
	t.Parallel()
	patch := render.Patch{Origin: render.Origin{Path: "k.yaml", Line: 7}, List: "patches", Matched: []string{"apps/v1/Deployment a"}, Changes: []render.Change{
		{Target: "apps/v1/Deployment a", Field: "/spec/template/spec/toleration", After: []any{}},
		{Target: "apps/v1/Deployment a", Field: "/spec/replicas", After: 2},
	}}
	before := checked(t, check.Options{}, rendered(t, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replica: 1}"))
	after := checked(t, check.Options{}, rendered(t, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replica: 1, template: {spec: {toleration: []}}}", patch))
	report, err := check.Compare(t.Context(), before, after, "main")
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Findings) != 1 || report.Unchanged != 1 {
		t.Fatalf("findings %v, %d unchanged, want one of each", findings(report), report.Unchanged)
	}
	if diff := cmp.Diff([]check.Place{{Path: "k.yaml", Line: 7}}, report.Findings[0].SetBy); diff != "" {
		t.Errorf("set by (-want +got):\n%s", diff)
	}
}

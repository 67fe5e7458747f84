package render

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func resultOf(t *testing.T, text string) *Result {
	t.Helper()
	r := &Result{}
	for i, doc := range strings.Split(text, "\n---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), o); err != nil {
			t.Fatal(err)
		}
		r.Objects = append(r.Objects, Object{Object: o, Origin: Origin{Path: "all.yaml", Line: i + 1}})
	}
	return r
}

// fluxKustomizations are those of postBuild texts, one of each.
func fluxKustomizations(t *testing.T, postBuilds ...string) []FluxKustomization {
	t.Helper()
	var all []FluxKustomization
	for _, postBuild := range postBuilds {
		all = append(all, resultOf(t, "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: k, namespace: flux-system}\nspec:\n  path: ./apps\n"+postBuild).FluxKustomizations()...)
	}
	return all
}

const withVariables = `apiVersion: apps/v1
kind: Deployment
metadata: {name: 'a-${CLUSTER}', annotations: {escaped: '$${CLUSTER}', both: '${CLUSTER}.${ZONE:=z1}'}}
spec: {replicas: '${COUNT}'}
`

func TestSubstitute(t *testing.T) {
	t.Parallel()
	const inline = "  postBuild: {substitute: {CLUSTER: prod, COUNT: '3'}}\n"
	for name, tc := range map[string]struct {
		by            []FluxKustomization
		text          string
		wantName      string
		wantReplicas  any
		wantBoth      string
		wantEscaped   string
		wantVariables []string
	}{
		"all in Git":                 {by: fluxKustomizations(t, inline), wantName: "a-prod", wantReplicas: 3.0, wantBoth: "prod.z1", wantEscaped: "${CLUSTER}"},
		"one from elsewhere":         {by: fluxKustomizations(t, "  postBuild: {substitute: {CLUSTER: prod, ZONE: a}, substituteFrom: [{kind: Secret, name: s}]}\n"), wantName: "a-prod", wantReplicas: "${COUNT}", wantBoth: "prod.a", wantEscaped: "${CLUSTER}", wantVariables: []string{"COUNT"}},
		"a default, from elsewhere":  {by: fluxKustomizations(t, "  postBuild: {substitute: {CLUSTER: prod, COUNT: '3'}, substituteFrom: [{kind: Secret, name: s}]}\n"), wantName: "a-prod", wantReplicas: 3.0, wantBoth: "prod.${ZONE}", wantEscaped: "${CLUSTER}", wantVariables: []string{"ZONE"}},
		"one that nobody sets":       {by: fluxKustomizations(t, "  postBuild: {substitute: {CLUSTER: prod}}\n"), wantName: "a-prod", wantReplicas: nil, wantBoth: "prod.z1", wantEscaped: "${CLUSTER}"},
		"no variables":               {by: fluxKustomizations(t, ""), wantName: "a-${CLUSTER}", wantReplicas: "${COUNT}", wantBoth: "${CLUSTER}.${ZONE:=z1}", wantEscaped: "$${CLUSTER}"},
		"no variables and no values": {by: fluxKustomizations(t, "  postBuild: {substitute: {}}\n"), wantName: "a-${CLUSTER}", wantReplicas: "${COUNT}", wantBoth: "${CLUSTER}.${ZONE:=z1}", wantEscaped: "$${CLUSTER}"},
		"always":                     {by: fluxKustomizations(t, "  postBuild: {substituteStrategy: Always}\n"), wantName: "a-", wantReplicas: nil, wantBoth: ".z1", wantEscaped: "${CLUSTER}"},
		"nobody builds the path":     {wantName: "a-${CLUSTER}", wantReplicas: "${COUNT}", wantBoth: "${CLUSTER}.${ZONE:=z1}", wantEscaped: "$${CLUSTER}", wantVariables: []string{"CLUSTER", "COUNT", "ZONE"}},
		"two of one mind, in part":   {by: fluxKustomizations(t, inline, "  postBuild: {substitute: {CLUSTER: test, COUNT: '3'}}\n"), wantName: "a-${CLUSTER}", wantReplicas: 3.0, wantBoth: "${CLUSTER}.${ZONE}", wantEscaped: "${CLUSTER}", wantVariables: []string{"CLUSTER", "ZONE"}},
		"an object that has none": {
			by: fluxKustomizations(t, inline), text: strings.Replace(withVariables, "escaped:", "kustomize.toolkit.fluxcd.io/substitute: disabled, escaped:", 1),
			wantName: "a-${CLUSTER}", wantReplicas: "${COUNT}", wantBoth: "${CLUSTER}.${ZONE:=z1}", wantEscaped: "$${CLUSTER}",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := withVariables
			if tc.text != "" {
				text = tc.text
			}
			r := resultOf(t, text)
			if err := r.Substitute(tc.by); err != nil {
				t.Fatal(err)
			}
			o := r.Objects[0].Object
			replicas, _, _ := unstructured.NestedFieldCopy(o.Object, "spec", "replicas")
			if i, ok := replicas.(int64); ok {
				replicas = float64(i)
			}
			want := []any{tc.wantName, tc.wantReplicas, tc.wantBoth, tc.wantEscaped, tc.wantVariables}
			got := []any{o.GetName(), replicas, o.GetAnnotations()["both"], o.GetAnnotations()["escaped"], r.Objects[0].Variables}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("name, replicas, annotations, variables (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSubstituteWhatFluxCannot(t *testing.T) {
	t.Parallel()
	r := resultOf(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: ns}\ndata: {run.sh: 'echo ${list[@]}'}\n")
	err := r.Substitute(fluxKustomizations(t, "  postBuild: {substitute: {A: b}}\n"))
	mistake(t, err, "all.yaml:1: substitute the variables of v1/ConfigMap ns/c as Flux does: ")
}

// An expression can put a value into itself as often as it is long.
func TestSubstituteTooMuch(t *testing.T) {
	t.Parallel()
	value := strings.Repeat("x", 1000)
	expression := "${A}"
	for range 6 {
		expression = "${A//x/" + expression + "}"
	}
	for name, text := range map[string]string{
		"inside of each other": expression,
		"an alias of itself":   "${B}",
		"many":                 strings.Repeat("${A//x/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx}", 1<<14),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := resultOf(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  k: '"+text+"'\n")
			start := time.Now()
			err := r.Substitute(fluxKustomizations(t, "  postBuild: {substitute: {A: "+value+", B: '&a [*a]'}}\n"))
			if name == "an alias of itself" {
				mistake(t, err, "all.yaml:1: substitute the variables of v1/ConfigMap c as Flux does: the alias *a is part of what it stands for")
				return
			}
			if took := time.Since(start); err != nil || took > 10*time.Second {
				t.Fatalf("%v after %s", err, took)
			}
			if diff := cmp.Diff([]string{"A"}, r.Objects[0].Variables); diff != "" {
				t.Errorf("variables (-want +got):\n%s", diff)
			}
		})
	}
}

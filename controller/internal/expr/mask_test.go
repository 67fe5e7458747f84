package expr

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMaskApply(t *testing.T) {
	t.Parallel()
	const text = `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: b, uid: c, resourceVersion: "1", generation: 2, labels: {x: y}, annotations: {n: m}, managedFields: [1]}
spec: {nodeName: n, containers: [{name: a, image: b}, {name: c}]}
status: {phase: Running}`
	const identityOnly = `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: b, uid: c, resourceVersion: "1", generation: 2, labels: {x: y}}`
	whole := object(t, text)
	tests := map[string]struct {
		mask   Mask
		object map[string]any
		want   map[string]any
	}{
		"zero":          {object: whole, want: object(t, identityOnly)},
		"everything":    {mask: WholeObject(), object: whole, want: whole},
		"paths":         {mask: KeepPaths([]string{"status", "phase"}, []string{"no", "such"}), object: whole, want: object(t, identityOnly+"\nstatus: {phase: Running}")},
		"metadata":      {mask: KeepPaths([]string{"metadata"}), object: whole, want: map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": whole["metadata"]}},
		"annotations":   {mask: KeepPaths([]string{"metadata", "annotations"}), object: map[string]any{"metadata": map[string]any{"annotations": "x", "finalizers": "y"}}, want: map[string]any{"metadata": map[string]any{"annotations": "x"}}},
		"union":         {mask: KeepPaths([]string{"status"}).Union(KeepPaths([]string{"spec", "nodeName"})), object: whole, want: object(t, identityOnly+"\nstatus: {phase: Running}\nspec: {nodeName: n}")},
		"no metadata":   {object: map[string]any{"spec": "x"}, want: map[string]any{}},
		"odd metadata":  {mask: KeepPaths([]string{"metadata", "x"}), object: map[string]any{"metadata": "x"}, want: map[string]any{"metadata": "x"}},
		"no object":     {},
		"list on a way": {mask: KeepPaths([]string{"spec", "containers", "name"}), object: whole, want: object(t, identityOnly+"\nspec: {containers: [{name: a, image: b}, {name: c}]}")},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, tc.mask.Apply(tc.object)); diff != "" {
				t.Errorf("Apply: -want +got\n%s", diff)
			}
		})
	}
}

func TestMaskUnionAndEqual(t *testing.T) {
	t.Parallel()
	c := newCompiler(t)
	reads := func(expression string) Mask { return mustCompile(t, c, source(expression)).Reads() }
	a, b := reads("object.a.all(x, x.b == 1)"), reads("object.a.all(x, x.c == 1) && has(object.d)")
	sum := a.Union(b)
	if diff := cmp.Diff([]string{".a[*].b", ".a[*].c", ".d?"}, sum.Paths()); diff != "" {
		t.Errorf("Union: -want +got\n%s", diff)
	}
	if diff := cmp.Diff([]string{".a[*].b"}, a.Paths()); diff != "" {
		t.Errorf("Union changed its receiver: -want +got\n%s", diff)
	}
	if !a.Union(WholeObject()).All() || a.All() {
		t.Error("All() is wrong")
	}
	equal := map[string]struct {
		a, b Mask
		want bool
	}{
		"itself":          {a: a, b: a, want: true},
		"the same union":  {a: sum, b: b.Union(a), want: true},
		"another":         {a: a, b: b},
		"nothing":         {a: Mask{}, b: KeepPaths(), want: true},
		"nothing, reads":  {a: reads("true"), b: Mask{}, want: true},
		"presence":        {a: reads("has(object.a)"), b: Mask{}},
		"presence, whole": {a: reads("has(object.a)"), b: reads("object.a == 1")},
		"union with none": {a: Mask{}.Union(a), b: a.Union(Mask{}), want: true},
		"whole":           {a: WholeObject(), b: a.Union(WholeObject()), want: true},
	}
	for name, tc := range equal {
		if got := tc.a.Equal(tc.b); got != tc.want {
			t.Errorf("%s: Equal = %v", name, got)
		}
		if got := tc.b.Equal(tc.a); got != tc.want {
			t.Errorf("%s, turned: Equal = %v", name, got)
		}
	}
}

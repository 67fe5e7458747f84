package expr

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/google/cel-go/common/types"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func TestSelectorMatches(t *testing.T) {
	t.Parallel()
	const failed = "0: error: spec.validations[0].expression: selectorMatches: "
	tests := map[string]struct {
		selector, labels string
		want             string
	}{
		"equal":                  {selector: "{'matchLabels': {'a': 'b'}}", labels: "{'a': 'b', 'c': 'd'}", want: "pass"},
		"other value":            {selector: "{'matchLabels': {'a': 'b'}}", labels: "{'a': 'c'}", want: "0"},
		"empty selector":         {selector: "{}", labels: "{'a': 'c'}", want: "pass"},
		"empty parts":            {selector: "{'matchLabels': null, 'matchExpressions': null}", labels: "{}", want: "pass"},
		"null selector":          {selector: "null", labels: "{'a': 'c'}", want: "0"},
		"null labels":            {selector: "{'matchLabels': {'a': 'b'}}", labels: "null", want: "0"},
		"null labels, all":       {selector: "{}", labels: "null", want: "pass"},
		"absent labels":          {selector: "{}", labels: "object.metadata.?nothing", want: "pass"},
		"absent labels, plainly": {selector: "{}", labels: "object.metadata.nothing", want: "pass"},
		"absent selector":        {selector: "object.spec.nothing", labels: "{}", want: "0"},
		"from the object":        {selector: "object.spec.selector", labels: "object.metadata.labels", want: "pass"},
		"from variables":         {selector: "variables.s", labels: "variables.l", want: "pass"},
		"optional in a selector": {selector: "{'matchLabels': {'app': object.?spec.?nothing.orValue('x')}}", labels: "{'app': 'x'}", want: "pass"},
		"missing parent":         {selector: "{}", labels: "object.nothing.labels", want: "0: error: spec.validations[0].expression: no such key: nothing"},
		"label map":              {selector: "{'app': 'x'}", labels: "{}", want: failed + `"app" is not a field of a label selector (want matchLabels, matchExpressions)`},
		"unknown operator":       {selector: "{'matchExpressions': [{'key': dyn('a'), 'operator': dyn('Gt'), 'values': dyn(['1'])}]}", labels: "{}", want: failed + `invalid matchExpressions: "Gt" is not a valid label selector operator`},
		"not a map":              {selector: "'a'", labels: "{}", want: failed + "selector must be a map"},
		"labels are no map":      {selector: "{}", labels: "1", want: failed + "labels must be a map"},
		"label is no string":     {selector: "{'matchLabels': {'a': 'b'}}", labels: "{'a': 1}", want: failed + `the label "a" must be a string`},
		"number for a value":     {selector: "{'matchLabels': {'a': 1}}", labels: "{'a': '1'}", want: failed + `the value of "a" in matchLabels must be a string`},
		"number for a key":       {selector: "{1: 2}", labels: "{}", want: failed + "the key 1 must be a string"},
		"entries are no list":    {selector: "{'matchExpressions': {}}", labels: "{}", want: failed + "matchExpressions must be a list"},
		"entry is no map":        {selector: "{'matchExpressions': ['a']}", labels: "{}", want: failed + "invalid matchExpressions: an entry must be a map"},
		"values are no list":     {selector: "{'matchExpressions': [{'key': 'a', 'operator': 'In', 'values': 'b'}]}", labels: "{}", want: failed + "invalid matchExpressions: values must be a list"},
		"value is no string":     {selector: "{'matchExpressions': [{'key': dyn('a'), 'operator': dyn('In'), 'values': dyn([1])}]}", labels: "{}", want: failed + `invalid matchExpressions: the values of "a" must be strings`},
	}
	c := newCompiler(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := source("selectorMatches(dyn("+tc.selector+"), dyn("+tc.labels+"))").with("s", "object.spec.selector").with("l", "object.metadata.labels")
			if name == "absent labels, plainly" || name == "absent selector" {
				s = source("selectorMatches(" + tc.selector + ", " + tc.labels + ")")
			}
			got := mustCompile(t, c, s).Evaluate(t.Context(), Input{Object: object(t, deployment)}).summary()
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("selectorMatches(%s, %s): -want +got\n%s", tc.selector, tc.labels, diff)
			}
		})
	}
}

// TestSelectorMatchesLikeKubernetes compares with LabelSelectorAsSelector on
// random selectors, valid and not.
func TestSelectorMatchesLikeKubernetes(t *testing.T) {
	t.Parallel()
	g := rand.New(rand.NewPCG(3, 4))
	pick := func(from ...string) string { return from[g.IntN(len(from))] }
	key := func() string {
		return pick("a", "b", "c", "a/b", "x.io/a", "x..io/a", "-a", "A/a", "a/", "/a", "a/b/c", "", "x-1.io/a_b.c", "a b")
	}
	value := func() string { return pick("", "1", "2", "x-y", "x_y.z", "-x", "x ", "ü") }
	matched, refused := 0, 0
	for range 20000 {
		selector := &metav1.LabelSelector{}
		if g.IntN(2) == 0 {
			selector.MatchLabels = map[string]string{pick("a", "b", "c", key()): value()}
		}
		for range g.IntN(3) {
			entry := metav1.LabelSelectorRequirement{
				Key:      pick("a", "b", key()),
				Operator: metav1.LabelSelectorOperator(pick("In", "NotIn", "Exists", "DoesNotExist", "in", "")),
			}
			for range g.IntN(3) {
				entry.Values = append(entry.Values, value())
			}
			selector.MatchExpressions = append(selector.MatchExpressions, entry)
		}
		set := labels.Set{}
		for range g.IntN(4) {
			set[pick("a", "b", "c", "x.io/a")] = value()
		}
		text, err := json.Marshal(map[string]any{"selector": selector, "labels": set})
		if err != nil {
			t.Fatal(err)
		}
		content := map[string]any{}
		if err := json.Unmarshal(text, &content); err != nil {
			t.Fatal(err)
		}
		adapt := types.DefaultTypeAdapter.NativeToValue
		got, gotErr := selectorMatches(adapt(content["selector"]), adapt(content["labels"]))
		want, wantErr := metav1.LabelSelectorAsSelector(selector)
		if (gotErr != nil) != (wantErr != nil) {
			t.Fatalf("%s: error %v, Kubernetes says %v", text, gotErr, wantErr)
		}
		if wantErr != nil {
			refused++
			continue
		}
		if got != want.Matches(set) {
			t.Fatalf("%s: %v, Kubernetes says %v", text, got, want.Matches(set))
		}
		if got {
			matched++
		}
	}
	if matched < 1000 || refused < 1000 {
		t.Errorf("the generator is too poor: %d match, %d are refused", matched, refused)
	}
}

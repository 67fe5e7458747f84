package expr

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRequests has expressions see what a real request has.
func TestRequests(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in         Input
		expression string
		want       bool
	}{
		"old object":       {in: Input{OldObject: object(t, "spec: {replicas: 3}"), Object: object(t, "spec: {replicas: 1}")}, expression: "oldObject.spec.replicas > object.spec.replicas", want: true},
		"no object":        {in: Input{OldObject: object(t, "spec: {replicas: 3}")}, expression: "object == null && oldObject.spec.replicas == 3", want: true},
		"no old object":    {in: Input{Object: object(t, "spec: {}")}, expression: "oldObject == null", want: true},
		"request":          {in: Input{Request: object(t, "{operation: DELETE, subResource: scale, userInfo: {username: jane, groups: [a]}, dryRun: true}")}, expression: "request.operation == 'DELETE' && request.subResource == 'scale' && request.userInfo.username == 'jane' && 'a' in request.userInfo.groups && request.dryRun", want: true},
		"field not there":  {in: Input{Request: object(t, "{operation: CREATE}")}, expression: "has(request.subResource)"},
		"as if made now":   {in: Input{Object: object(t, "{apiVersion: v1, kind: Pod, metadata: {name: a}}")}, expression: "request.operation == 'CREATE' && request.name == 'a'", want: true},
		"options":          {in: Input{Request: object(t, "{options: {propagationPolicy: Foreground}}")}, expression: "request.options.propagationPolicy == 'Foreground'", want: true},
		"request resource": {in: Input{Request: object(t, "{requestResource: {resource: deployments}}")}, expression: "request.requestResource.resource == 'deployments'", want: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := source(tc.expression)
			s.RequestsOnly = true
			got := mustCompile(t, newCompiler(t), s).Evaluate(t.Context(), tc.in)
			if got.Err != nil || !got.Matches || (len(got.Problems) == 0) != tc.want || len(got.Problems) > 0 && got.Problems[0].Err != nil {
				t.Errorf("result %+v, want %v", got, tc.want)
			}
		})
	}
}

func TestNoRefsInMessages(t *testing.T) {
	t.Parallel()
	const refused = "refs cannot be used here"
	tests := map[string]struct {
		source *Source
		want   string
	}{
		"none":                   {source: source("refs.pods.size() == 0").saying("'none of ' + object.metadata.name")},
		"by themselves":          {source: source("true").saying("'a' + refs.pods[0].metadata.name"), want: "validations[0].messageExpression: line 1, column 11: " + refused},
		"on another line":        {source: source("true").saying("'a' +\n  refs.pods[0].metadata.name"), want: "validations[0].messageExpression: line 2, column 7: " + refused},
		"a variable":             {source: source("variables.n == 0").with("n", "refs.pods.size()").saying("string(variables.n)"), want: "validations[0].messageExpression: line 1, column 17: " + refused},
		"a variable of one":      {source: source("true").with("n", "refs.pods.size()").with("m", "variables.n + 1").saying("string(variables.m)"), want: "validations[0].messageExpression: line 1, column 17: " + refused},
		"another variable":       {source: source("variables.n == 0").with("n", "refs.pods.size()").with("m", "1").saying("string(variables.m)")},
		"all of the references":  {source: source("true").saying("string(size(refs.pods.filter(p, true)))"), want: "validations[0].messageExpression: line 1, column 17: " + refused},
		"in the second of three": {source: source("true", "true").saying("string(refs.pods.size())"), want: "validations[1].messageExpression: line 1, column 12: " + refused},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCompiler(t)
			tc.source.referring("pods")
			if _, errs := c.Compile(tc.source); len(errs) > 0 {
				t.Fatalf("where they may be used: %v", errs)
			}
			tc.source.NoRefsInMessages = true
			_, errs := c.Compile(tc.source)
			if tc.want == "" {
				if len(errs) > 0 {
					t.Error(errs)
				}
				return
			}
			if len(errs) != 1 || len(errs[0].Error()) < len(tc.want) || errs[0].Error()[:len(tc.want)] != tc.want {
				t.Errorf("mistakes %v, want %s", errs, tc.want)
			}
		})
	}
}

func TestListsWithOneChange(t *testing.T) {
	t.Parallel()
	named := func(names ...string) []map[string]any {
		out := []map[string]any{}
		for _, name := range names {
			out = append(out, map[string]any{"name": name})
		}
		return out
	}
	base := NewList(named("a", "b", "c"))
	x := named("x")[0]
	tests := map[string]struct {
		list List
		want string
	}{
		"replaced":       {list: base.Replaced(1, x), want: "a,x,c"},
		"inserted first": {list: base.Inserted(0, x), want: "x,a,b,c"},
		"inserted last":  {list: base.Inserted(3, x), want: "a,b,c,x"},
		"removed":        {list: base.Removed(2), want: "a,b"},
		"into nothing":   {list: List{}.Inserted(0, x), want: "x"},
		"as it was":      {list: base, want: "a,b,c"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program := mustCompile(t, newCompiler(t), source("false").saying("refs.l.map(o, string(o.name)).join(',')").referring("l"))
			got := program.Evaluate(t.Context(), Input{Object: map[string]any{}, Refs: fixedList(tc.list)})
			if diff := cmp.Diff(tc.want, got.Problems[0].Message); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

type fixedList List

func (l fixedList) List(string) (List, error) { return List(l), nil }

// TestNoRightsOfOthers has a rule of a tenant learn nothing of the rights of others.
func TestNoRightsOfOthers(t *testing.T) {
	t.Parallel()
	for expression, refused := range map[string]bool{
		"authorizer.group('').resource('secrets').namespace('shop').check('get').allowed()":                              false,
		"authorizer.serviceAccount('kube-system', 'x').group('').resource('secrets').check('get').allowed()":             true,
		"authorizer.group('').resource('secrets').check('get').reason() == ''":                                           true,
		"authorizer.requestResource.check('bypass').error() == ''":                                                       true,
		"object.metadata.?reason.orValue('') == '' && object.?error.orValue('') == '' && object.?serviceAccount == null": false,
	} {
		s := source(expression)
		s.RequestsOnly, s.NoRightsOfOthers = true, true
		if _, errs := newCompiler(t).Compile(s); (len(errs) > 0) != refused || refused && !strings.Contains(errs.Error(), "a namespaced Rule can ask") {
			t.Errorf("%s: %v", expression, errs)
		}
		s.NoRightsOfOthers = false
		if _, errs := newCompiler(t).Compile(s); len(errs) > 0 {
			t.Errorf("%s, of a ClusterRule: %v", expression, errs)
		}
	}
}

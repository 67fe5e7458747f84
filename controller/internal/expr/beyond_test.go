package expr

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhatGoesBeyondTheAPIServer(t *testing.T) {
	t.Parallel()
	c := newCompiler(t)
	tests := map[string]struct {
		source *Source
		want   []string
	}{
		"libraries of the API server": {
			source: source("object.metadata.name.matches('^a') && [1, 2].sum() == 3 && ip('10.0.0.1').family() == 4 && object.?spec.hasValue()").
				with("v", "quantity('1Gi').isInteger()").when("c", "request.operation == 'CREATE'").saying("'a'.upperAscii()"),
		},
		"every operator":                {source: source("object.a ? [1][0] < 2 : !(object.b in {'x': 1} || -object.c % 2 == 0)")},
		"references that are not used":  {source: source("true").referring("pods")},
		"a reference":                   {source: source("refs.pods.size() == 0").referring("pods", "nodes"), want: []string{"refs.pods"}},
		"a reference in a variable":     {source: source("variables.n == 0").with("n", "refs.pods.size()").referring("pods"), want: []string{"refs.pods"}},
		"a reference in a message":      {source: source("false").saying("string(refs.pods.size())").referring("pods"), want: []string{"refs.pods"}},
		"the references themselves":     {source: source("refs == refs"), want: []string{"refs"}},
		"a helper":                      {source: source("selectorMatches(object.spec.selector, object.metadata.labels)"), want: []string{"selectorMatches"}},
		"a helper in a match condition": {source: source("true").when("c", "selectorMatches({}, {})"), want: []string{"selectorMatches"}},
		"the name of a helper as text":  {source: source("object.metadata.name != 'selectorMatches(refs.pods)'")},
		"a variable called refs":        {source: source("[1].all(refs, refs == 1)")},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, mustCompile(t, c, tc.source).Beyond()); diff != "" {
				t.Errorf("beyond the API server (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRuleOfRequestsSeesAllOfThem(t *testing.T) {
	t.Parallel()
	c := newCompiler(t)
	tests := map[string]struct {
		expression string
		want       []string
	}{
		"what objects have too": {expression: "request.operation == 'CREATE' && request.name != ''"},
		"who asks":              {expression: "request.userInfo.username == 'me'", want: []string{"request.userInfo"}},
		"the options":           {expression: "request.options == null || request.dryRun", want: []string{"request.dryRun", "request.options"}},
		"all of the request":    {expression: "[request].exists(r, r.name == 'a')", want: []string{"request"}},
		"the authorizer":        {expression: "authorizer.group('').resource('pods').check('get').allowed()", want: []string{"authorizer"}},
		"the resource's own": {
			expression: "authorizer.requestResource.check('bypass').allowed()", want: []string{"authorizer"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ofRequests := source(tc.expression)
			ofRequests.RequestsOnly = true
			if diff := cmp.Diff(tc.want, mustCompile(t, c, ofRequests).RequestOnly()); diff != "" {
				t.Errorf("of requests only (-want +got):\n%s", diff)
			}
			if _, errs := c.Compile(source(tc.expression)); (len(errs) > 0) != (len(tc.want) > 0) {
				t.Errorf("for objects too: %v, want an error for %v", errs, tc.want)
			}
		})
	}
}

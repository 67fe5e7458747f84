package expr

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func TestCompileErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		source *Source
		want   []string
	}{
		"syntax": {
			source: source("object.spec.replicas >"),
			want:   []string{"validations[0].expression: line 1, column 23: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"},
		},
		"unknown name, on the second line": {
			source: source("true &&\n  objekt.spec.replicas > 1"),
			want:   []string{"validations[0].expression: line 2, column 3: undeclared reference to 'objekt'"},
		},
		"unknown reference": {
			source: source("refs.pods.size() > 0", "refs.pod.size() > 0").referring("pods"),
			want:   []string{"validations[1].expression: line 1, column 5: undefined field 'pod'"},
		},
		"reference without any": {
			source: source("refs.pods.size() > 0"),
			want:   []string{"validations[0].expression: line 1, column 5: undefined field 'pods'"},
		},
		"no bool": {
			source: source("object.metadata.name"),
			want:   []string{"validations[0].expression: must evaluate to bool but got dyn"},
		},
		"message is no string": {
			source: source("true").saying("1"),
			want:   []string{"validations[0].messageExpression: must evaluate to string but got int"},
		},
		"type error": {
			source: source("1 + 'a' == 'b'"),
			want:   []string{"validations[0].expression: line 1, column 3: found no matching overload for '_+_' applied to '(int, string)'"},
		},
		"type of a variable is known": {
			source: source("variables.n.startsWith('x')").with("n", "size('abc')"),
			want:   []string{"validations[0].expression: line 1, column 23: found no matching overload for 'startsWith' applied to 'int.(string)'"},
		},
		"type of a list variable is known": {
			source: source("variables.l.all(x, x > 1)").with("l", "['a', 'b']"),
			want:   []string{"validations[0].expression: line 1, column 22: found no matching overload for '_>_' applied to '(string, int)'"},
		},
		"a variable sees only those before it": {
			source: source("variables.a").with("a", "variables.b").with("b", "true"),
			want: []string{
				"variables[0].expression: line 1, column 10: undefined field 'b'",
				"validations[0].expression: must evaluate to bool but got dyn",
			},
		},
		"names of variables": {
			source: source("true").with("", "1").with("a-b", "1").with("in", "1").with("x", "1").with("x", "2"),
			want: []string{
				"variables[0].name: must be given",
				"variables[1].name: name is not a valid CEL identifier",
				"variables[2].name: name is not a valid CEL identifier",
				"variables[4].name: is used twice",
			},
		},
		"names of match conditions": {
			source: source("true").when("", "true").when("a", "true").when("a", "true"),
			want:   []string{"matchConditions[0].name: must be given", "matchConditions[2].name: is used twice"},
		},
		"nothing written": {
			source: source("true", " ").when("a", "").with("b", ""),
			want: []string{
				"matchConditions[0].expression: must be given",
				"variables[0].expression: must be given",
				"validations[1].expression: must be given",
			},
		},
		"all at once": {
			source: source("a", "b").when("c", "c").with("d", "d").saying("e"),
			want: []string{
				"matchConditions[0].expression: line 1, column 1: undeclared reference to 'c'",
				"variables[0].expression: line 1, column 1: undeclared reference to 'd'",
				"validations[0].expression: line 1, column 1: undeclared reference to 'a'",
				"validations[1].expression: line 1, column 1: undeclared reference to 'b'",
				"validations[1].messageExpression: line 1, column 1: undeclared reference to 'e'",
			},
		},
		"two in one expression": {
			source: source("a && b"),
			want:   []string{"validations[0].expression: line 1, column 1: undeclared reference to 'a' (and 1 more)"},
		},
		"authorizer": {
			source: source("authorizer.group('').resource('pods').check('get').allowed()"),
			want:   []string{"validations[0].expression: line 1, column 1: undeclared reference to 'authorizer': it has no meaning outside admission: only a rule whose modes are [Admission] may use it"},
		},
		"params": {
			source: source("params.x == 1"),
			want:   []string{"validations[0].expression: line 1, column 1: undeclared reference to 'params': a rule has no parameters"},
		},
		"user": {
			source: source("object.spec.x == 1 || request.userInfo.username == 'me'"),
			want:   []string{"validations[0].expression: line 1, column 30: request.userInfo has no meaning outside admission: only a rule whose modes are [Admission] may use it"},
		},
		"user, asked whether it is there": {
			source: source("has(request.userInfo)"),
			want:   []string{"validations[0].expression: line 1, column 4: request.userInfo has no meaning outside admission: only a rule whose modes are [Admission] may use it"},
		},
		"user, by a detour": {
			source: source("[request].exists(r, r.userInfo.username == 'me')"),
			want:   []string{"validations[0].expression: line 1, column 2: request can only be used by its fields"},
		},
		"user, by a variable": {
			source: source("variables.r.userInfo.username == 'me'").with("r", "request"),
			want:   []string{"variables[0].expression: line 1, column 1: request can only be used by its fields"},
		},
		"dry run in a match condition": {
			source: source("true").when("real", "!request.dryRun"),
			want:   []string{"matchConditions[0].expression: line 1, column 9: request.dryRun has no meaning outside admission: only a rule whose modes are [Admission] may use it"},
		},
		"options": {
			source: source("request.options == null"),
			want:   []string{"validations[0].expression: line 1, column 8: request.options has no meaning outside admission: only a rule whose modes are [Admission] may use it"},
		},
		"what match conditions do not see": {
			source: source("true").with("v", "true").referring("r").
				when("a", "variables.v").when("b", "refs.r.size() > 0").when("c", "namespaceObject.metadata.name == 'x'"),
			want: []string{
				"matchConditions[0].expression: line 1, column 1: undeclared reference to 'variables': it is not available in matchConditions",
				"matchConditions[1].expression: line 1, column 1: undeclared reference to 'refs': it is not available in matchConditions",
				"matchConditions[2].expression: line 1, column 1: undeclared reference to 'namespaceObject': it is not available in matchConditions",
			},
		},
		"fields of a namespace that upstream hides": {
			source: source("has(namespaceObject.metadata.ownerReferences)"),
			want:   []string{"validations[0].expression: line 1, column 4: undefined field 'ownerReferences'"},
		},
		"literals are checked": {
			source: source("object.spec.x.matches('[')", "duration('x') > duration('1s')"),
			want: []string{
				"validations[0].expression: line 1, column 23: invalid matches argument",
				"validations[1].expression: line 1, column 10: invalid duration argument",
			},
		},
	}
	c := newCompiler(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program, errs := c.Compile(tc.source)
			if program != nil {
				t.Error("there is a program beside the errors")
			}
			var got []string
			for _, err := range errs {
				got = append(got, err.Error())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("errors: -want +got\n%s", diff)
			}
		})
	}
}

func TestFieldErrors(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 200) + " ["
	_, errs := newCompiler(t).Compile(source("x", "", long).with("a", "1").with("a", "1"))
	var got []string
	for _, err := range errs {
		got = append(got, err.FieldError(field.NewPath("spec")).Error())
	}
	want := []string{
		`spec.variables[1].name: Duplicate value: "a"`,
		`spec.validations[0].expression: Invalid value: "x": line 1, column 1: undeclared reference to 'x'`,
		`spec.validations[1].expression: Required value: must be given`,
	}
	if diff := cmp.Diff(want, got[:3]); diff != "" {
		t.Errorf("field errors: -want +got\n%s", diff)
	}
	if len(got) != 4 || !strings.Contains(got[3], strings.Repeat("ü", 126)+"…") || strings.Contains(got[3], strings.Repeat("ü", 127)) {
		t.Errorf("the long expression is not cut to %d bytes: %s", maxValueLength, got[3])
	}
	if all := errs.Error(); !strings.HasPrefix(all, "variables[1].name: is used twice; validations[0].expression: ") {
		t.Errorf("Errors.Error() = %q", all)
	}
}

func TestSourceKey(t *testing.T) {
	t.Parallel()
	sources := map[string]*Source{
		"two expressions":      source("a", "b"),
		"one expression":       source("ab"),
		"a message":            source("a").saying("b"),
		"a variable":           source("a").with("b", ""),
		"a condition":          source("a").when("b", ""),
		"a reference":          source("a").referring("b"),
		"two references":       source("a").referring("b", "c"),
		"lengths in the texts": source("1;a1;b"),
	}
	seen := map[string]string{}
	for name, s := range sources {
		key := s.key()
		if other, ok := seen[key]; ok {
			t.Errorf("%s and %s have the key %q", name, other, key)
		}
		seen[key] = name
	}
	message := source("a")
	message.Validations[0].Message = "is not compiled"
	if message.key() != source("a").key() {
		t.Error("the message, which is not compiled, is part of the key")
	}
}

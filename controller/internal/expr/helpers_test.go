package expr

import (
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/yaml"
)

// newCompiler is a Compiler for one test.
func newCompiler(tb testing.TB) *Compiler {
	tb.Helper()
	c, err := NewCompiler(1000)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// source is a Source with one validation for each expression.
func source(expressions ...string) *Source {
	s := &Source{}
	for _, expression := range expressions {
		s.Validations = append(s.Validations, admissionregistrationv1.Validation{Expression: expression})
	}
	return s
}

// with adds a variable.
func (s *Source) with(name, expression string) *Source {
	s.Variables = append(s.Variables, admissionregistrationv1.Variable{Name: name, Expression: expression})
	return s
}

// when adds a match condition.
func (s *Source) when(name, expression string) *Source {
	s.MatchConditions = append(s.MatchConditions, admissionregistrationv1.MatchCondition{Name: name, Expression: expression})
	return s
}

// saying sets the messageExpression of the last validation.
func (s *Source) saying(expression string) *Source {
	s.Validations[len(s.Validations)-1].MessageExpression = expression
	return s
}

// referring adds references.
func (s *Source) referring(names ...string) *Source {
	s.Refs = append(s.Refs, names...)
	return s
}

func mustCompile(tb testing.TB, c *Compiler, s *Source) *Program {
	tb.Helper()
	program, errs := c.Compile(s)
	if len(errs) > 0 {
		tb.Fatalf("compiling %+v: %v", s, errs)
	}
	return program
}

// object is the content of an object in YAML.
func object(tb testing.TB, text string) map[string]any {
	tb.Helper()
	content := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &content); err != nil {
		tb.Fatal(err)
	}
	// JSON has floats only; an API server's objects have integers.
	return integers(content).(map[string]any)
}

func integers(v any) any {
	switch typed := v.(type) {
	case map[string]any:
		for k := range typed {
			typed[k] = integers(typed[k])
		}
	case []any:
		for i := range typed {
			typed[i] = integers(typed[i])
		}
	case float64:
		if float64(int64(typed)) == typed {
			return int64(typed)
		}
	}
	return v
}

// refLists are fixed lists by name.
type refLists map[string][]map[string]any

func (r refLists) List(name string) (List, error) {
	return NewList(r[name]), nil
}

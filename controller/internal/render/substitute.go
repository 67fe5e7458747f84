package render

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/envsubst"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// substituteKey is the label or annotation by which an object keeps its variables.
const substituteKey = fluxKustomizationGroup + "/substitute"

// maxSubstitution bounds what the expressions of one object may cost: their bytes,
// times those of the largest value as often as expressions are inside of each other
// and once for a pattern that is matched with it.
const maxSubstitution = 1 << 32

// variable is the beginning of what Flux substitutes.
func variable() *regexp.Regexp { return regexp.MustCompile(`\$\{#?([_a-zA-Z][_a-zA-Z0-9]*)`) }

// variablesIn are those of a text; sorted.
func variablesIn(text string) []string {
	var names []string
	for _, found := range variable().FindAllStringSubmatch(text, -1) {
		names = append(names, found[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Substitute does with the variables of the objects what the Flux Kustomizations do
// that build the path that was rendered. A variable whose value is not in Git stays,
// and is in Object.Variables: all of them where no Kustomization of that path is
// given. A mistake in a variable is an *Error.
func (r *Result) Substitute(by []FluxKustomization) error {
	s := merge(by)
	for i := range r.Objects {
		if r.Objects[i].Origin.Instance != "" {
			continue // flux-operator applies it
		}
		if err := s.apply(&r.Objects[i]); err != nil {
			o := r.Objects[i].Object
			id := objectID(o.GetAPIVersion(), o.GetKind(), o.GetNamespace(), o.GetName())
			return &Error{Origin: r.Objects[i].Origin, Err: fmt.Errorf("substitute the variables of %s as Flux does: %w", id, err)}
		}
	}
	return nil
}

// substitution is what happens to the variables of a path.
type substitution struct {
	values map[string]string
	// evaluates is false where nobody replaces variables. Where open is true, one
	// that is not in values has another value.
	evaluates, open bool
}

// merge is what is common to the Kustomizations of a path: a variable that they
// give different values is not known.
func merge(by []FluxKustomization) substitution {
	if len(by) == 0 {
		return substitution{open: true}
	}
	s := substitution{values: map[string]string{}}
	for name, value := range by[0].values {
		same := func(k FluxKustomization) bool { v, ok := k.values[name]; return ok && v == value }
		if !slices.ContainsFunc(by, func(k FluxKustomization) bool { return !same(k) }) {
			s.values[name] = strings.ReplaceAll(value, "\n", "")
		}
	}
	for _, k := range by {
		s.evaluates = s.evaluates || k.substitutes && (k.always || k.open || len(k.values) > 0)
		s.open = s.open || k.open || len(k.values) != len(s.values) || k.substitutes != by[0].substitutes
	}
	return s
}

// apply replaces the variables of one object.
func (s substitution) apply(object *Object) error {
	if !s.evaluates && !s.open {
		return nil
	}
	o := object.Object
	if o.GetLabels()[substituteKey] == "disabled" || o.GetAnnotations()[substituteKey] == "disabled" {
		return nil
	}
	content, err := yaml.Marshal(o.Object)
	if err != nil {
		return fmt.Errorf("write it: %w", err)
	}
	text := string(content)
	if !strings.Contains(text, "${") {
		return nil
	}
	if !s.evaluates || s.costs(text) {
		object.Variables = variablesIn(text)
		return nil
	}
	text, object.Variables, err = s.evaluate(text)
	if err != nil {
		return err
	}
	if _, err := weigh([]byte(text), DefaultLimits().Nodes); err != nil {
		return err
	}
	asJSON, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return err
	}
	var value map[string]any
	if err := utiljson.Unmarshal(asJSON, &value); err != nil {
		return err
	}
	object.Object = &unstructured.Unstructured{Object: value}
	return nil
}

// evaluate a text, with the variables that are not known left in it.
func (s substitution) evaluate(text string) (out string, unknown []string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("an expression cannot be evaluated: %v", r)
		}
	}()
	out, err = envsubst.Eval(text, func(name string) (string, bool) {
		value, known := s.values[name]
		if !known && s.open {
			unknown = append(unknown, name)
			return "${" + name + "}", true
		}
		return value, true
	})
	if err != nil {
		return "", nil, err
	}
	slices.Sort(unknown)
	return out, slices.Compact(unknown), nil
}

// costs says whether evaluating a text could take too much: each value can be put
// into another one as often as that is long.
func (s substitution) costs(text string) bool {
	longest, depth, deepest, inside := 1, 0, 0, 0
	for _, value := range s.values {
		longest = max(longest, len(value))
	}
	for _, found := range variable().FindAllString(text, -1) {
		longest = max(longest, len(found)+1) // what stands for one that is not known
	}
	for i := range len(text) {
		switch {
		case text[i] == '{' && i > 0 && text[i-1] == '$':
			depth++
			deepest = max(deepest, depth)
		case text[i] == '}' && depth > 0:
			depth--
		case depth > 0:
			inside++
		}
	}
	cost := max(inside, 1)
	for range deepest + 1 {
		if cost *= max(longest, 2); cost > maxSubstitution {
			return true
		}
	}
	return false
}

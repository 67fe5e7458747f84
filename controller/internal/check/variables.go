package check

import (
	"fmt"
	"slices"
	"strings"
)

// maxVariables is how many variables of an object are told apart.
const maxVariables = 32

// unknown notes what is not known of an object for its variables.
func (r *run) unknown(obj *object, check string, names []string, what string) {
	r.note(Note{
		Check: check, Object: obj.id(), Path: obj.origin.Path, Line: obj.origin.Line,
		Message: fmt.Sprintf("%s: Flux substitutes %s, with a value that is not in what is checked here, so it is not known %s",
			obj.id(), strings.Join(names, ", "), what),
	})
}

// unknownIn are the variables for which an object has mistakes: without them it has
// none. None where it has some even then.
func unknownIn(obj *object, mistakes []mistake) []string {
	if len(obj.variables) == 0 || len(mistakes) == 0 {
		return nil
	}
	valid := func(known func(name string) bool) bool {
		content, ok := without(obj.known(), func(text string) bool {
			return slices.ContainsFunc(obj.variables, func(name string) bool { return !known(name) && uses(text, name) })
		}).(map[string]any)
		if !ok {
			return false
		}
		_, left := decode(content)
		return len(left) == 0
	}
	if !valid(func(string) bool { return false }) {
		return nil
	}
	var names []string
	for _, one := range obj.variables[:min(len(obj.variables), maxVariables)] {
		if !valid(func(name string) bool { return name == one }) {
			names = append(names, one)
		}
	}
	if len(names) == 0 {
		return obj.variables // several of them in one value
	}
	return names
}

// uses says whether a text has an expression with a variable.
func uses(text, name string) bool {
	for rest, found := text, true; found; {
		if _, rest, found = strings.Cut(rest, "${"); !found {
			return false
		}
		after, ok := strings.CutPrefix(strings.TrimPrefix(rest, "#"), name)
		if ok && (after == "" || !strings.ContainsAny(after[:1], "_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")) {
			return true
		}
	}
	return false
}

// without is a copy of a value in which no text is that drop is true of.
func without(value any, drop func(text string) bool) any {
	dropped := func(v any) bool { text, ok := v.(string); return ok && drop(text) }
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, one := range v {
			if !dropped(one) {
				out[key] = without(one, drop)
			}
		}
		return out
	case []any:
		out := make([]any, 0, len(v))
		for _, one := range v {
			if !dropped(one) {
				out = append(out, without(one, drop))
			}
		}
		return out
	}
	return value
}

package check

import (
	"slices"
	"strconv"
	"strings"

	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/render"
)

// maxCauses is how many patches a finding names, the last to be applied first.
const maxCauses = 3

// Place is a line of a source file.
type Place struct {
	Path string `json:"path"`
	Line int    `json:"line"`
}

// causes are the fields that patches changed, by object as the patches met it.
type causes map[string][]cause

type cause struct {
	place  Place
	change render.Change
}

func newCauses(patches []render.Patch) causes {
	out := causes{}
	for i := range patches {
		for _, change := range patches[i].Changes {
			out[change.Target] = append(out[change.Target], cause{
				place: Place{Path: patches[i].Origin.Path, Line: patches[i].Origin.Line}, change: change,
			})
		}
	}
	return out
}

// reads says whether a judgement of an object depends on what a patch changed.
type reads func(obj *object, change render.Change) bool

// below are the fields at and below the given JSON pointers.
func below(pointers ...string) reads {
	return func(_ *object, change render.Change) bool {
		return slices.ContainsFunc(pointers, func(pointer string) bool {
			return strings.HasPrefix(change.Field+"/", pointer+"/") || strings.HasPrefix(pointer+"/", change.Field+"/")
		})
	}
}

// everything of an object.
func everything(*object, render.Change) bool { return true }

// masked are the fields that expressions read.
func masked(mask expr.Mask) reads {
	return func(obj *object, change render.Change) bool {
		content := obj.Object
		if change.After == nil {
			// What is gone is read where it would be read if it were still there.
			content = obj.DeepCopy().Object
			restore(content, tokens(change.Field), change.Before)
		}
		return has(mask.Apply(content), tokens(change.Field))
	}
}

// of are the patches that set what a judgement read of an object, the last one
// first: where to look for what the source manifest does not say.
func (c causes) of(obj *object, read reads) []Place {
	changes := c[obj.id()]
	if len(changes) == 0 && obj.GetNamespace() != "" {
		// The namespace may have been set after the patch.
		changes = c[obj.GetAPIVersion()+"/"+obj.GetKind()+" "+obj.GetName()]
	}
	var places []Place
	for _, cause := range slices.Backward(changes) {
		if len(places) == maxCauses {
			break
		}
		if !slices.Contains(places, cause.place) && read(obj, cause.change) {
			places = append(places, cause.place)
		}
	}
	return places
}

// tokens of a JSON pointer.
func tokens(pointer string) []string {
	var out []string
	for token := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		out = append(out, strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~"))
	}
	return out
}

// has says whether a mask kept what is at a path. It keeps an empty map or list
// where only their presence or size is read, to which all that is in them adds.
func has(value any, path []string) bool {
	for _, token := range path {
		switch in := value.(type) {
		case map[string]any:
			if len(in) == 0 {
				return true
			}
			next, ok := in[token]
			if !ok {
				return false
			}
			value = next
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil {
				return false
			}
			if i < 0 || i >= len(in) {
				return true
			}
			value = in[i]
		default:
			return false
		}
	}
	return true
}

// restore sets what was at a path of maps. A path through a list is left alone:
// what was an element of it need not be at its place any more.
func restore(in map[string]any, path []string, value any) {
	for i, token := range path {
		if i == len(path)-1 {
			in[token] = value
			return
		}
		next, ok := in[token].(map[string]any)
		if !ok {
			if in[token] != nil {
				return
			}
			next = map[string]any{}
			in[token] = next
		}
		in = next
	}
}

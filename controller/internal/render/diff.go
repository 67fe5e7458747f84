package render

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// diff lists the fields in which two objects differ, by JSON pointer, in the
// pointers' order. Elements of lists are compared by their index. What is added is
// listed field by field, what is removed as a whole.
func diff(before, after map[string]any) []Change {
	var out []Change
	walkDiff("", before, after, &out)
	return out
}

func walkDiff(pointer string, before, after any, out *[]Change) {
	switch a := after.(type) {
	case map[string]any:
		b, ok := before.(map[string]any)
		if !ok && before != nil || len(a)+len(b) == 0 {
			break
		}
		all := map[string]any{}
		maps.Copy(all, a)
		maps.Copy(all, b)
		for _, key := range slices.Sorted(maps.Keys(all)) {
			walkDiff(pointer+"/"+escape(key), b[key], a[key], out)
		}
		return
	case []any:
		b, ok := before.([]any)
		if !ok && before != nil || len(a)+len(b) == 0 {
			break
		}
		for i := range max(len(a), len(b)) {
			walkDiff(pointer+"/"+strconv.Itoa(i), element(b, i), element(a, i), out)
		}
		return
	}
	if !reflect.DeepEqual(before, after) {
		*out = append(*out, Change{Field: pointer, Before: before, After: after})
	}
}

func element(list []any, i int) any {
	if i < len(list) {
		return list[i]
	}
	return nil
}

func escape(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}

// overridden notes which fields that earlier patches set the latest patch set to
// another value. An element that was added to a list is no such field, as there
// was nothing before. The objects are those of the latest patch's changes.
func (w *walk) overridden(objects []*resource.Resource) {
	by := len(w.patches) - 1
	for i, c := range w.patches[by].Changes {
		fields := w.set[objects[i]]
		if c.Before != nil {
			for pointer, earlier := range fields {
				if !within(c.Field, pointer) && !within(pointer, c.Field) {
					continue
				}
				for _, index := range earlier {
					p := &w.patches[index]
					o := Override{By: by, Target: c.Target, Field: c.Field, Set: c.After}
					same := func(x Override) bool { return x.By == o.By && x.Target == o.Target && x.Field == o.Field }
					if index != by && !slices.ContainsFunc(p.OverriddenBy, same) {
						p.OverriddenBy = append(p.OverriddenBy, o)
					}
				}
			}
		}
		if fields == nil {
			fields = map[string][]int{}
			w.set[objects[i]] = fields
		}
		fields[c.Field] = append(fields[c.Field], by)
	}
}

// within says whether a JSON pointer is another one or below it.
func within(pointer, above string) bool {
	rest, ok := strings.CutPrefix(pointer, above)
	return ok && (rest == "" || rest[0] == '/')
}

// runs says whether an object has a container with an image of that name.
func runs(res *resource.Resource, image string) bool {
	for _, pod := range [][]string{{"spec"}, {"spec", "template", "spec"}, {"spec", "jobTemplate", "spec", "template", "spec"}} {
		for _, list := range []string{"containers", "initContainers"} {
			containers, err := res.Pipe(yaml.Lookup(append(slices.Clone(pod), list)...))
			if err != nil || containers == nil {
				continue
			}
			for _, container := range containers.Content() {
				if imageName(scalar(container, "image")) == image {
					return true
				}
			}
		}
	}
	return false
}

// imageName is an image's reference without its tag and digest.
func imageName(reference string) string {
	reference, _, _ = strings.Cut(reference, "@")
	if i := strings.LastIndexByte(reference, ':'); i > strings.LastIndexByte(reference, '/') {
		reference = reference[:i]
	}
	return reference
}

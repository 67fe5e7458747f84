package expr

import (
	"maps"
	"slices"
)

// Mask is a set of paths into objects: what is kept of an object for the
// expressions that read it. The zero Mask keeps the identity only. A Mask does
// not change once it is handed out.
type Mask struct {
	root *node
}

// node is one place in an object. A node without anything set stands for the
// place's presence, type and nothing of its content.
type node struct {
	// all keeps everything below.
	all bool
	// fields are the entries of a map that are read.
	fields map[string]*node
	// elem is what is read of each element of a list. A map that is iterated
	// or indexed by something other than a constant is kept whole.
	elem *node
}

func (n *node) field(name string) *node {
	if n.fields == nil {
		n.fields = map[string]*node{}
	}
	child := n.fields[name]
	if child == nil {
		child = &node{}
		n.fields[name] = child
	}
	return child
}

func (n *node) element() *node {
	if n.elem == nil {
		n.elem = &node{}
	}
	return n.elem
}

// WholeObject keeps everything.
func WholeObject() Mask {
	return Mask{root: &node{all: true}}
}

// KeepPaths keeps the given paths, each whole. A list on the way is kept whole.
func KeepPaths(paths ...[]string) Mask {
	root := &node{}
	for _, path := range paths {
		at := root
		for _, name := range path {
			at = at.field(name)
		}
		at.all = true
	}
	return Mask{root: root}
}

// All says whether everything is kept.
func (m Mask) All() bool {
	return m.root != nil && m.root.all
}

// Union keeps what either keeps.
func (m Mask) Union(other Mask) Mask {
	return Mask{root: union(m.root, other.root)}
}

func union(a, b *node) *node {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.all || b.all:
		return &node{all: true}
	}
	sum := &node{elem: union(a.elem, b.elem)}
	if len(a.fields)+len(b.fields) > 0 {
		sum.fields = make(map[string]*node, len(a.fields)+len(b.fields))
		maps.Copy(sum.fields, a.fields)
		for name, child := range b.fields {
			sum.fields[name] = union(sum.fields[name], child)
		}
	}
	return sum
}

// Equal says whether both keep the same.
func (m Mask) Equal(other Mask) bool {
	return equal(m.root, other.root, true)
}

// equal compares two places. Only at the root nothing is the same as a place
// without content: below, one of them keeps the presence.
func equal(a, b *node, root bool) bool {
	if root && a == nil {
		a = &node{}
	}
	if root && b == nil {
		b = &node{}
	}
	if a == nil || b == nil {
		return a == b
	}
	if a.all || b.all {
		return a.all == b.all
	}
	return equal(a.elem, b.elem, false) && maps.EqualFunc(a.fields, b.fields, func(x, y *node) bool {
		return equal(x, y, false)
	})
}

// Paths lists what is kept beside the identity, sorted, for people: list
// elements are [*], and a place of which only the presence is known ends in ?.
func (m Mask) Paths() []string {
	if m.root == nil {
		return nil
	}
	var paths []string
	var walk func(prefix string, n *node)
	walk = func(prefix string, n *node) {
		if n.all {
			paths = append(paths, prefix)
			return
		}
		if n.elem == nil && len(n.fields) == 0 {
			if prefix != "" {
				paths = append(paths, prefix+"?")
			}
			return
		}
		if n.elem != nil {
			walk(prefix+"[*]", n.elem)
		}
		for _, name := range slices.Sorted(maps.Keys(n.fields)) {
			walk(prefix+"."+name, n.fields[name])
		}
	}
	walk("", m.root)
	slices.Sort(paths)
	return paths
}

// identity is what is always kept: who the object is, and what selectors,
// owners and the audit's own bookkeeping need.
var identity = []string{ //nolint:gochecknoglobals // a constant in all but the language
	"name", "namespace", "uid", "resourceVersion", "generation", "labels",
	"ownerReferences", "deletionTimestamp", "creationTimestamp",
}

// Apply returns a new object with what the mask keeps, apiVersion, kind, and
// the identity: metadata's name, namespace, uid, resourceVersion, generation,
// labels, ownerReferences, deletionTimestamp and creationTimestamp. What is
// kept whole is shared with the given object, which is not changed.
func (m Mask) Apply(object map[string]any) map[string]any {
	if object == nil {
		return nil
	}
	if m.All() {
		return maps.Clone(object)
	}
	root := m.root
	if root == nil {
		root = &node{}
	}
	if root.elem != nil {
		return maps.Clone(object)
	}
	kept := pruneMap(root, object)
	for _, name := range []string{"apiVersion", "kind"} {
		if value, ok := object[name]; ok {
			kept[name] = value
		}
	}
	full, ok := object["metadata"].(map[string]any)
	if !ok {
		return kept
	}
	metadata, ok := kept["metadata"].(map[string]any)
	if !ok {
		metadata = make(map[string]any, len(identity))
	} else if child := root.fields["metadata"]; child != nil && (child.all || child.elem != nil) {
		return kept
	}
	for _, name := range identity {
		if value, ok := full[name]; ok {
			metadata[name] = value
		}
	}
	kept["metadata"] = metadata
	return kept
}

func pruneMap(n *node, value map[string]any) map[string]any {
	kept := make(map[string]any, len(n.fields))
	for name, child := range n.fields {
		if entry, ok := value[name]; ok {
			kept[name] = prune(child, entry)
		}
	}
	return kept
}

func prune(n *node, value any) any {
	if n.all {
		return value
	}
	switch typed := value.(type) {
	case map[string]any:
		if n.elem != nil {
			return value
		}
		return pruneMap(n, typed)
	case []any:
		if n.elem == nil && len(n.fields) > 0 {
			return value
		}
		elem := n.elem
		if elem == nil {
			return []any{}
		}
		kept := make([]any, len(typed))
		for i := range typed {
			kept[i] = prune(elem, typed[i])
		}
		return kept
	}
	return value
}

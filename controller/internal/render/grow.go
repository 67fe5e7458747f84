package render

import (
	"fmt"
	"strings"

	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// textPerNode is how many bytes of text weigh as much as a node.
const textPerNode = 64

// grow runs a transformer, and counts what it has put into the objects that it
// matched: a patch that copies a field into the next one doubles what is there with
// every line.
func (w *walk) grow(matched []*resource.Resource, run func() error) error {
	before := w.size(matched)
	if err := run(); err != nil {
		return err
	}
	return w.tree.build(max(w.size(matched)-before, 0), nil)
}

// size of objects in nodes, as far as the limit.
func (w *walk) size(objects []*resource.Resource) int {
	left := w.tree.limits.Nodes + 1
	for _, res := range objects {
		left = take(res.YNode(), left)
	}
	return w.tree.limits.Nodes + 1 - left
}

// take takes the weight of a node from what is left.
func take(n *yaml.Node, left int) int {
	if n == nil {
		return left
	}
	left -= 1 + len(n.Value)/textPerNode
	for _, c := range n.Content {
		if left <= 0 {
			return 0
		}
		left = take(c, left)
	}
	return max(left, 0)
}

// oneByOne runs replacements as kustomize does, and stops before one that would put
// more into the objects than there may be.
type oneByOne struct {
	w            *walk
	replacements []types.Replacement
	run          func(types.Replacement) (resmap.Transformer, error)
}

var _ resmap.Transformer = oneByOne{}

// Transform applies the replacements.
func (o oneByOne) Transform(m resmap.ResMap) error {
	for _, replacement := range o.replacements {
		found, places, err := targets(m, replacement.Targets)
		if err != nil {
			return err
		}
		if size := o.source(m, replacement.Source); size > o.w.tree.limits.Nodes/max(places, 1) {
			return fmt.Errorf("it puts %d nodes into as many as %d places, more than %d in all", size, places, o.w.tree.limits.Nodes)
		}
		transformer, err := o.run(replacement)
		if err != nil {
			return err
		}
		if err := o.w.grow(found, func() error { return transformer.Transform(m) }); err != nil {
			return err
		}
	}
	return nil
}

// source is the size of what a replacement copies: of the whole object where the
// field is named in another way than by a path.
func (o oneByOne) source(m resmap.ResMap, source *types.SourceSelector) int {
	if source == nil {
		return 0
	}
	largest := 0
	for _, res := range m.Resources() {
		for _, id := range append(res.PrevIds(), res.CurId()) {
			if !id.IsSelectedBy(source.ResId) {
				continue
			}
			node := res.YNode()
			if value, err := res.Pipe(yaml.Lookup(strings.Split(source.FieldPath, ".")...)); err == nil && value != nil {
				node = value.YNode()
			}
			largest = max(largest, o.w.tree.limits.Nodes+1-take(node, o.w.tree.limits.Nodes+1))
		}
	}
	return largest
}

// targets are the objects that a replacement selects, and in how many places of
// theirs it may put its value.
func targets(m resmap.ResMap, list []*types.TargetSelector) ([]*resource.Resource, int, error) {
	var all []*resource.Resource
	places := 0
	seen := map[*resource.Resource]bool{}
	for _, target := range list {
		if target.Select == nil {
			continue
		}
		found, err := m.Select(*target.Select)
		if err != nil {
			return nil, 0, fmt.Errorf("read the target %s: %w", selector(target.Select), err)
		}
		for _, res := range found {
			for _, field := range target.FieldPaths {
				n := 1
				if strings.Contains(field, "*") || strings.Contains(field, "[") {
					const most = 1 << 20
					n = most - take(res.YNode(), most)
				}
				places += n
			}
			if !seen[res] {
				seen[res] = true
				all = append(all, res)
			}
		}
	}
	return all, places, nil
}
